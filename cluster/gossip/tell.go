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
	c := f.cause
	if !configured {
		switch c { //nolint:exhaustive // the others are of nodes that have the key
		case wrongKey:
			c = strangerKey
		case wrongName:
			c = strangerName
		}
	}
	w.problem(peer, c, f.node, f.reason, now)
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
	if own.ConfigHash == 0 || m.Meta.ConfigHash == 0 {
		return // the same
	}
	if own.ConfigHash != m.Meta.ConfigHash {
		w.lasting(peer, otherConfig, m.Name, fmt.Sprintf("configuration %x there, %x here", m.Meta.ConfigHash, own.ConfigHash), now)
	} else {
		w.over(w.problems.clear(peer, now, otherConfig))
	}
}

// forget is for a member that is gone: what lasts is kept aside, until it is back.
func (w *watcher) forget(m Member, now time.Time) {
	w.problems.clear(m.Addr.String(), now, udpLost)
	w.problems.leave(m.Addr.String(), now)
	if slices.Contains(w.g.cfg.Peers, m.Addr) {
		w.absent[m.Addr] = true
	}
}

func (w *watcher) problem(peer string, c cause, node, reason string, now time.Time) {
	if w.problems.seen(peer, c, node, reason, false, now) {
		w.explain(peer, c, node, reason)
	}
}

func (w *watcher) lasting(peer string, c cause, node, reason string, now time.Time) {
	if w.problems.seen(peer, c, node, reason, true, now) {
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
			"hint", "VIPs, listeners, pools, failover and lease must be equal on all nodes")
	case strangerKey:
		w.log.Warn("stranger with another key", "addr", peer, "reason", reason,
			"hint", "it is not in cluster.peers and is ignored; if it should be a node, give it the same cluster.key_file and list it")
	case strangerName:
		w.log.Warn("stranger of another cluster", "addr", peer, "reason", reason,
			"hint", "it is not in cluster.peers and is ignored; take this node out of its cluster.peers")
	case none:
	}
}

func (w *watcher) over(es []ended) {
	for _, e := range es {
		if e.cause == strangerKey || e.cause == strangerName {
			continue // its silence is no news
		}
		w.log.Info("problem is over", "addr", e.peer, "reason", e.cause.String(), "took", e.took)
	}
}
