package gossip

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// maxEvents bounds the events that may wait for the watcher; there may be four times as many of membership itself.
const maxEvents = 256

type kind int

const (
	joined kind = iota + 1
	updated
	restartedNode
	suspected
	answered
	lost
	left
	joining    // addr
	joinFailed // addr, reason: the error
	refused    // name, addr, reason
	conflict   // name, addr, old
	line       // reason: a line of memberlist's log
	ownChanged // this node's metadata
)

// event is something to log. Callbacks make it, the watcher logs it, so that no callback waits for a log.
type event struct {
	kind      kind
	member    Member
	since     time.Time // when the member's previous state began
	name      string
	addr, old netip.AddrPort
	reason    string
	find      finding // of a line
}

// lineWriter is where memberlist logs to. Its lines come from under memberlist's lock, like callbacks.
type lineWriter struct{ g *Gossip }

// Write takes one line.
func (w lineWriter) Write(b []byte) (int, error) {
	text := strings.TrimRight(string(b), "\n")
	if len(text) > 1024 {
		text = text[:1024]
	}
	f := readLine(text)
	switch {
	case f.suspected:
		w.g.change(func(t *table, now time.Time) []event { return t.suspect(f.node, now) })
	case f.failed:
		w.g.change(func(t *table, _ time.Time) []event {
			if t.members[f.node] != nil {
				t.failed[f.node] = true
			}
			return nil
		})
	case f.udpLost:
		w.g.change(func(t *table, now time.Time) []event { return t.heard(f.node, now) })
	}
	if f.cause != none || f.udpLost || w.g.log.IsDebug() {
		w.g.tell(event{kind: line, reason: printable(text), find: f})
	}
	return len(b), nil
}

// watcher logs what happens. One goroutine uses it.
type watcher struct {
	g        *Gossip
	log, ml  hclog.Logger
	problems problems
	failing  map[netip.AddrPort]string // why a configured peer cannot be joined, as last told
	absent   map[netip.AddrPort]bool   // lost or left, and told so: that a join fails now is no news
	doubted  map[string]time.Time      // when a suspicion was last told: lossy networks make many
}

func newWatcher(g *Gossip) *watcher {
	return &watcher{g: g, log: g.log, ml: g.log.Named("memberlist"), problems: problems{},
		failing: map[netip.AddrPort]string{}, absent: map[netip.AddrPort]bool{}, doubted: map[string]time.Time{}}
}

func (w *watcher) run(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.g.wake:
			w.drain()
			w.publish()
		case now := <-t.C:
			w.over(w.problems.expire(now))
			w.publish()
		}
	}
}

// publish shows the open problems to Problems.
func (w *watcher) publish() {
	open := w.problems.open()
	w.g.mu.Lock()
	w.g.open = open
	w.g.mu.Unlock()
}

// hex is a boot id as the status shows it.
func hex(boot uint64) string { return fmt.Sprintf("%016x", boot) }

// drain logs all that waits.
func (w *watcher) drain() {
	w.g.mu.Lock()
	evs, dropped := w.g.events, w.g.dropped
	w.g.events, w.g.dropped = nil, 0
	w.g.mu.Unlock()
	now := time.Now()
	for _, ev := range evs {
		w.tell(ev, now)
	}
	if dropped > 0 {
		w.ml.Debug("log lines dropped", "count", dropped)
	}
}

func (w *watcher) tell(ev event, now time.Time) {
	m := ev.member
	switch ev.kind {
	case joined:
		delete(w.failing, m.Addr)
		delete(w.absent, m.Addr)
		w.log.Info("node joined", "peer", m.Name, "addr", m.Addr, "version", m.Meta.Version,
			"priority", m.Meta.Priority, "boot", hex(m.Meta.Boot))
		w.over(w.problems.clear(m.Addr.String(), now, wrongKey, wrongName, otherVersion))
		w.compare(m, now)
	case updated:
		w.log.Debug("node changed", "peer", m.Name, "term", m.Meta.Term, "holds", m.Meta.Holds, "fit", m.Meta.Fit)
		w.compare(m, now)
	case restartedNode:
		w.log.Info("node restarted", "peer", m.Name, "addr", m.Addr, "boot", hex(m.Meta.Boot),
			"reason", "gossip: its boot id changed before its silence was noticed")
		w.compare(m, now)
	case suspected:
		w.suspected(m, now)
	case answered:
		w.log.Debug("node answered again", "peer", m.Name, "addr", m.Addr, "took", m.Since.Sub(ev.since))
	case lost:
		w.log.Warn("node lost", "peer", m.Name, "addr", m.Addr, "reason", ev.reason)
		w.forget(m, now)
	case left:
		w.log.Info("node left", "peer", m.Name, "addr", m.Addr, "reason", "gossip: it said goodbye")
		w.forget(m, now)
	case joining:
		if !w.absent[ev.addr] {
			w.log.Info("joining", "addr", ev.addr)
		}
	case joinFailed:
		w.joinFailed(ev, now)
	case refused:
		w.problem(ev.addr.String(), otherVersion, ev.name, ev.reason, now)
	case conflict:
		w.conflict(ev, now)
	case line:
		w.ml.Debug("memberlist says", "line", ev.reason)
		w.line(ev.find, now)
	case ownChanged:
		for _, m := range w.g.Snapshot() {
			if m.State == Alive || m.State == Suspect {
				w.compare(m, now)
			}
		}
	}
}

// suspected tells a suspicion, at most once a minute per node.
func (w *watcher) suspected(m Member, now time.Time) {
	if last, ok := w.doubted[m.Name]; ok && now.Sub(last) < sayAgain {
		return
	}
	if len(w.doubted) >= 2*maxMembers {
		clear(w.doubted)
	}
	w.doubted[m.Name] = now
	w.log.Info("node suspected", "peer", m.Name, "addr", m.Addr, "reason", "gossip: no answer to a probe")
}

// joinFailed tells a failed attempt once, and again when its reason changes.
func (w *watcher) joinFailed(ev event, now time.Time) {
	w.g.mu.Lock()
	late := w.g.table.present(ev.addr)
	w.g.mu.Unlock()
	if late {
		return // it has joined meanwhile
	}
	if f := readError(ev.reason); f.cause != none {
		w.problem(ev.addr.String(), f.cause, f.node, f.reason, now)
		return
	}
	reason, silent := joinReason(ev.reason)
	if w.failing[ev.addr] == reason {
		return
	}
	w.failing[ev.addr] = reason
	if w.absent[ev.addr] && silent {
		return
	}
	w.log.Warn("could not join", "addr", ev.addr, "reason", reason, "err", printable(oneLine(ev.reason)))
}

// oneLine takes memberlist's list of errors, which has a heading, bullets and lines of its own, for one line of a log.
func oneLine(err string) string {
	err = strings.TrimPrefix(strings.TrimSpace(err), "1 error occurred:")
	return strings.TrimPrefix(strings.Join(strings.Fields(err), " "), "* ")
}

// peerOf finds the configured peer that a packet or stream came from: streams come from any port.
func (w *watcher) peerOf(from string) (peer string, configured bool) {
	host := from
	if ap, err := netip.ParseAddrPort(from); err == nil {
		ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
		host = ap.Addr().String()
		var same []netip.AddrPort
		for _, p := range w.g.cfg.Peers {
			if p == ap {
				return p.String(), true
			}
			if p.Addr() == ap.Addr() {
				same = append(same, p)
			}
		}
		if len(same) == 1 {
			return same[0].String(), true
		}
	}
	if len(host) > 64 {
		host = host[:64]
	}
	return host, false
}
