package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// callbacks is what memberlist calls, mostly under its own lock: copy, store, poke, return; never log, never call back.
type callbacks struct{ g *Gossip }

var (
	_ memberlist.Delegate         = callbacks{}
	_ memberlist.EventDelegate    = callbacks{}
	_ memberlist.AliveDelegate    = callbacks{}
	_ memberlist.ConflictDelegate = callbacks{}
	_ memberlist.PingDelegate     = callbacks{}
)

// NodeMeta returns this node's metadata.
func (c callbacks) NodeMeta(limit int) []byte {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	b := c.g.meta.encode()
	if len(b) > limit { // cannot be: encode is bounded below memberlist's limit, which panics when it is passed
		return nil
	}
	return b
}

// NotifyAlive refuses nodes that this one could not keep or understand. A refused node is no member.
func (c callbacks) NotifyAlive(n *memberlist.Node) error {
	if n.Name == c.g.cfg.Node {
		return nil
	}
	addr, err := c.admit(n)
	if err != nil {
		c.g.tell(event{kind: refused, name: printable(n.Name[:min(len(n.Name), maxName)]), addr: addr, reason: err.Error()})
	}
	return err
}

func (c callbacks) admit(n *memberlist.Node) (netip.AddrPort, error) {
	addr, err := addrOf(n)
	if err != nil {
		return addr, err
	}
	if err := checkName(n.Name); err != nil {
		return addr, err
	}
	if n.DMin > codecVersion || n.DMax < codecVersion {
		return addr, fmt.Errorf("it speaks version %d to %d of the metadata, this node %d", n.DMin, n.DMax, codecVersion)
	}
	if _, err := decodeMeta(n.Meta); err != nil {
		return addr, err
	}
	c.g.mu.Lock()
	room := c.g.table.room(n.Name)
	c.g.mu.Unlock()
	if !room {
		return addr, fmt.Errorf("there are already %d members", maxMembers)
	}
	return addr, nil
}

// NotifyJoin is called when a node came, or came back.
func (c callbacks) NotifyJoin(n *memberlist.Node) { c.node(n, (*table).join) }

// NotifyUpdate is called when a node's metadata changed.
func (c callbacks) NotifyUpdate(n *memberlist.Node) { c.node(n, (*table).update) }

func (c callbacks) node(n *memberlist.Node, f func(*table, string, netip.AddrPort, Meta, time.Time) []event) {
	if n.Name == c.g.cfg.Node {
		return
	}
	addr, err := addrOf(n)
	if err != nil {
		return // NotifyAlive has refused it
	}
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		return
	}
	c.g.change(func(t *table, now time.Time) []event { return f(t, n.Name, addr, meta, now) })
}

// NotifyLeave is called when a node left or was found dead; memberlist does not say which.
func (c callbacks) NotifyLeave(n *memberlist.Node) {
	if n.Name == c.g.cfg.Node {
		return
	}
	c.g.change(func(t *table, now time.Time) []event { return t.leave(n.Name, now) })
}

// NotifyConflict is called when a node says that it has the name of another.
func (c callbacks) NotifyConflict(existing, other *memberlist.Node) {
	addr, err := addrOf(other)
	if err != nil {
		return
	}
	old, err := addrOf(existing)
	if err != nil {
		return
	}
	if existing.Name != c.g.cfg.Node {
		c.g.mu.Lock()
		m := c.g.table.members[existing.Name]
		known := m != nil && (m.State == Alive || m.State == Suspect)
		c.g.mu.Unlock()
		if !known {
			return // the node moved to another address: it is let in when the old one is dead for long enough
		}
	}
	c.g.tell(event{kind: conflict, name: existing.Name, addr: addr, old: old})
}

// NotifyMsg is called with messages that other nodes sent directly: there is only the goodbye.
func (c callbacks) NotifyMsg(b []byte) {
	name, boot, ok := readBye(b)
	if !ok {
		return
	}
	c.g.change(func(t *table, now time.Time) []event { return t.goodbye(name, boot, now) })
}

// AckPayload is unused.
func (c callbacks) AckPayload() []byte { return nil }

// NotifyPingComplete is called when a node answered a probe.
func (c callbacks) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	c.g.change(func(t *table, now time.Time) []event { return t.heard(n.Name, now) })
}

// GetBroadcasts is unused.
func (c callbacks) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState is unused.
func (c callbacks) LocalState(bool) []byte { return nil }

// MergeRemoteState is unused.
func (c callbacks) MergeRemoteState([]byte, bool) {}

func addrOf(n *memberlist.Node) (netip.AddrPort, error) {
	a, ok := netip.AddrFromSlice(n.Addr)
	if !ok || n.Port == 0 {
		return netip.AddrPort{}, errors.New("it has no valid address")
	}
	return netip.AddrPortFrom(a.Unmap(), n.Port), nil
}

const byeKind = 'b'

// byeMessage says that the process with this boot id is about to leave. memberlist's own leave message can be lost, and
// its event does not tell leaving from dying.
func byeMessage(name string, boot uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{byeKind}, boot)
	return append(b, name...)
}

func readBye(b []byte) (name string, boot uint64, ok bool) {
	if len(b) < 1+8+1 || len(b) > 1+8+maxName || b[0] != byeKind {
		return "", 0, false
	}
	return string(b[9:]), binary.BigEndian.Uint64(b[1:]), true
}
