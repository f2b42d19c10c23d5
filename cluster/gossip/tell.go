package gossip

import (
	"fmt"
	"slices"
	"time"
)

// line acts on what a line of memberlist's log means.
func (w *watcher) line(f finding, now time.Time) {
	if f.udpLost {
		w.g.mu.Lock()
		m := w.g.table.members[f.node]
		peer := f.node
		if m != nil {
			peer = m.Addr.String()
		}
		w.g.mu.Unlock()
		w.problem(peer, udpLost, f.node, "its UDP probes got no answer, a TCP probe did", now)
		return
	}
	if f.cause == none {
		return
	}
	peer, configured := w.peerOf(f.from)
	if f.cause == wrongName && f.reason == `its cluster name is ""` && !configured {
		return // a port scan, or any other foreign bytes
	}
	w.problem(peer, f.cause, f.node, f.reason, now)
}

// conflict tells that two nodes have one name, of which one may be this node.
func (w *watcher) conflict(ev event, now time.Time) {
	w.problem(ev.addr.String(), twice, ev.name, fmt.Sprintf("%s at %s and at %s", ev.name, ev.old, ev.addr), now)
}

// compare looks for what two members must have in common.
func (w *watcher) compare(m Member, now time.Time) {
	w.g.mu.Lock()
	own := w.g.meta
	w.g.mu.Unlock()
	peer := m.Addr.String()
	if own.Protocol == 0 || m.Meta.Protocol == 0 {
		return // one of the two has not yet been told what to say of itself
	}
	if own.Protocol != m.Meta.Protocol {
		w.lasting(peer, otherProtocol, m.Name, fmt.Sprintf("it (%s) speaks protocol %d of beats and stream, this node (%s) %d",
			m.Meta.Version, m.Meta.Protocol, own.Version, own.Protocol), now)
	} else {
		w.over(w.problems.clear(peer, now, otherProtocol))
	}
	if own.ConfigHash != m.Meta.ConfigHash && own.ConfigHash != 0 && m.Meta.ConfigHash != 0 {
		w.lasting(peer, otherConfig, m.Name, fmt.Sprintf("configuration %x there, %x here", m.Meta.ConfigHash, own.ConfigHash), now)
	} else {
		w.over(w.problems.clear(peer, now, otherConfig))
	}
}

// forget drops, without a word, what only a living member can have.
func (w *watcher) forget(m Member, now time.Time) {
	w.problems.clear(m.Addr.String(), now, otherProtocol, otherConfig, udpLost)
	if slices.Contains(w.g.cfg.Peers, m.Addr) {
		w.absent[m.Addr] = true
	}
}

func (w *watcher) problem(peer string, c cause, node, reason string, now time.Time) {
	if w.problems.seen(peer, c, false, now) {
		w.explain(peer, c, node, reason)
	}
}

func (w *watcher) lasting(peer string, c cause, node, reason string, now time.Time) {
	if w.problems.seen(peer, c, true, now) {
		w.explain(peer, c, node, reason)
	}
}

// explain logs a problem with what to do about it.
func (w *watcher) explain(peer string, c cause, node, reason string) {
	switch c {
	case wrongKey:
		w.log.Error("cluster key differs", "addr", peer, "reason", reason,
			"hint", "copy one cluster.key_file to all nodes and restart them")
	case wrongName:
		w.log.Error("cluster name differs", "addr", peer, "reason", reason, "name", w.g.cfg.Name,
			"hint", "one cluster: give all nodes the same cluster.name; two clusters: remove the address from cluster.peers")
	case twice:
		w.log.Error("node name is used twice", "addr", peer, "peer", node, "reason", reason,
			"hint", "give each node a name of its own: key node, by default the host name")
	case otherVersion, otherProtocol:
		w.log.Error("version does not fit", "addr", peer, "peer", node, "reason", reason,
			"hint", "install the same version of tandem on all nodes")
	case udpLost:
		w.log.Warn("tcp passes but udp does not", "addr", peer, "peer", node, "reason", reason,
			"hint", "let UDP pass between the nodes on the ports of cluster.bind and the next one")
	case otherConfig:
		w.log.Warn("configuration differs", "addr", peer, "peer", node, "reason", reason,
			"hint", "cluster, vip, listeners and pools must be equal on all nodes")
	case none:
	}
}

func (w *watcher) over(es []ended) {
	for _, e := range es {
		w.log.Info("problem is over", "addr", e.peer, "reason", e.cause.String(), "took", e.took)
	}
}
