package gossip

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// maxMembers bounds what a hostile or mistaken cluster can make this node remember.
const maxMembers = 64

// table is the membership as the callbacks report it. Its methods return the events to log. The caller locks.
type table struct {
	members map[string]*Member
	failed  map[string]bool   // memberlist said that its own probes found the node dead; its leave event follows
	bye     map[string]uint64 // boot id of the process that said goodbye
}

func newTable() table {
	return table{members: map[string]*Member{}, failed: map[string]bool{}, bye: map[string]uint64{}}
}

func (t *table) snapshot() []Member {
	s := make([]Member, 0, len(t.members))
	for _, m := range t.members {
		c := *m
		c.Meta = m.Meta.bounded() // own copies of the hardware addresses
		s = append(s, c)
	}
	slices.SortFunc(s, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// present reports whether a member at addr takes part.
func (t *table) present(addr netip.AddrPort) bool {
	for _, m := range t.members {
		if m.Addr == addr && (m.State == Alive || m.State == Suspect) {
			return true
		}
	}
	return false
}

func (t *table) join(name string, addr netip.AddrPort, meta Meta, now time.Time) []event {
	delete(t.failed, name)
	delete(t.bye, name)
	m := &Member{Name: name, Addr: addr, Meta: meta, Since: now, State: Alive}
	t.forgetOldest(name)
	t.members[name] = m
	return []event{{kind: joined, member: *m}}
}

// forgetOldest makes room for one more member by dropping the one that is gone for longest.
func (t *table) forgetOldest(name string) {
	if t.members[name] != nil || len(t.members) < maxMembers {
		return
	}
	var oldest *Member
	for _, m := range t.members {
		if (m.State == Lost || m.State == Left) && (oldest == nil || m.Since.Before(oldest.Since)) {
			oldest = m
		}
	}
	if oldest != nil {
		delete(t.members, oldest.Name)
	}
}

// room reports whether name is known or may become so.
func (t *table) room(name string) bool {
	if t.members[name] != nil || len(t.members) < maxMembers {
		return true
	}
	for _, m := range t.members {
		if m.State == Lost || m.State == Left {
			return true
		}
	}
	return false
}

func (t *table) update(name string, addr netip.AddrPort, meta Meta, now time.Time) []event {
	m := t.members[name]
	if m == nil {
		return t.join(name, addr, meta, now)
	}
	restarted := m.Meta.Boot != meta.Boot
	m.Addr, m.Meta = addr, meta
	if restarted {
		m.Since, m.State = now, Alive
		delete(t.bye, name)
		return []event{{kind: restartedNode, member: *m}}
	}
	return []event{{kind: updated, member: *m}}
}

func (t *table) leave(name string, now time.Time) []event {
	failed := t.failed[name]
	delete(t.failed, name)
	m := t.members[name]
	if m == nil || m.State == Lost || m.State == Left {
		return nil
	}
	boot, said := t.bye[name]
	delete(t.bye, name)
	ev := event{kind: lost, reason: "gossip: no answer to probes"}
	switch {
	case said && boot == m.Meta.Boot:
		ev.kind = left
	case failed:
	case t.others(name) == 0:
		ev.kind = left // nobody else is there who could have declared it dead
	default:
		ev.reason = "gossip: another node got no answer to its probes"
	}
	ev.since = m.Since
	m.Since, m.State = now, Lost
	if ev.kind == left {
		m.State = Left
	}
	ev.member = *m
	return []event{ev}
}

// goodbye notes that a process is about to leave, or has: its words may come in the wrong order.
func (t *table) goodbye(name string, boot uint64, now time.Time) []event {
	m := t.members[name]
	if m == nil || m.Meta.Boot != boot {
		return nil
	}
	switch m.State {
	case Alive, Suspect:
		t.bye[name] = boot
	case Lost:
		m.Since, m.State = now, Left
		return []event{{kind: left, member: *m}}
	case Left:
	}
	return nil
}

// others counts the members that take part, name aside.
func (t *table) others(name string) int {
	n := 0
	for _, m := range t.members {
		if m.Name != name && (m.State == Alive || m.State == Suspect) {
			n++
		}
	}
	return n
}

func (t *table) suspect(name string, now time.Time) []event {
	m := t.members[name]
	if m == nil || m.State != Alive {
		return nil
	}
	m.Since, m.State = now, Suspect
	return []event{{kind: suspected, member: *m}}
}

// heard ends a suspicion: the node answered a probe.
func (t *table) heard(name string, now time.Time) []event {
	m := t.members[name]
	if m == nil || m.State != Suspect {
		return nil
	}
	ev := event{kind: answered, since: m.Since}
	m.Since, m.State = now, Alive
	ev.member = *m
	return []event{ev}
}
