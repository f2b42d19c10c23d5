package peer

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"time"
)

const (
	// quiet is the least time between two logs of the same refusal of the same address.
	quiet = time.Minute
	// flaps is how many streams to a node may end in quiet before they are no longer told: a restart or two are news.
	flaps = 3
	// maxTold bounds what is remembered for that; beyond it, strangers' refusals share one entry.
	maxTold = 64
)

// mayTell limits the rate of logs.
func (p *Streams) mayTell(what, host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := what + " " + host
	now := time.Now()
	if _, ok := p.told[key]; !ok && len(p.told) >= maxTold {
		maps.DeleteFunc(p.told, func(_ string, at time.Time) bool { return now.Sub(at) >= quiet })
		if len(p.told) >= maxTold {
			key = what
		}
	}
	if at, ok := p.told[key]; ok && now.Sub(at) < quiet {
		return false
	}
	p.told[key] = now
	return true
}

// mayTellUp limits the lines about streams to one node: after flapping within a minute, nothing is told for the rest of it.
func (p *Streams) mayTellUp(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.nodes[name]
	if n == nil {
		return true
	}
	now := time.Now()
	if now.Sub(n.toldUp) >= quiet {
		n.toldUp, n.endings = now, 0
	}
	n.silent = n.endings >= flaps
	return !n.silent
}

// tellRefusal logs why a handshake came to nothing, and what to do about it.
func (p *Streams) tellRefusal(conn net.Conn, dialed netip.AddrPort, s *stream, err error) {
	host := ""
	if a := conn.RemoteAddr(); a != nil {
		host = a.String()
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	if dialed.IsValid() {
		host = dialed.String()
	}
	log := p.log.With("addr", host)
	cause := cause(err)
	if cause == nil {
		log.Debug("stream not begun", "err", err)
		return
	}
	if !p.mayTell(cause.Error(), host) {
		return
	}
	switch {
	case errors.Is(cause, errKey):
		log.Warn("stream refused, the other node has another key: give all nodes the same cluster.key_file")
	case errors.Is(cause, errNoKey):
		log.Warn("stream refused, one node has a key and the other is insecure: give all nodes the same cluster.key_file")
	case errors.Is(cause, errVersion):
		log.Warn("stream refused, the other node speaks another version of the protocol: run the same version of tandem on all nodes")
	case errors.Is(cause, errCluster):
		log.Warn("stream refused, the other node's cluster has another name: give each cluster its own key", "peer", s.name)
	case errors.Is(cause, errSelf):
		log.Warn("stream refused, it leads to this node itself: take the own address out of cluster.peers")
	case errors.Is(cause, errSameName):
		log.Warn("stream refused, the other node has this node's name: give each node its own", "peer", s.name)
	case errors.Is(cause, errCrowded):
		log.Warn("stream refused, too many nodes: at most 16 peers are possible", "peer", s.name)
	case errors.Is(cause, errProof):
		log.Warn("stream refused, the proof of the key is wrong: somebody without the key tries to get in")
	case errors.Is(cause, errForeign):
		log.Warn("stream refused, this is not a tandem: something else connects to this port")
	}
}

// cause is the known reason in err, or nil.
func cause(err error) error {
	for _, c := range []error{errKey, errNoKey, errVersion, errCluster, errSelf, errSameName, errCrowded, errProof, errForeign} {
		if errors.Is(err, c) {
			return c
		}
	}
	return nil
}

// tellFrame logs a bad frame.
func (p *Streams) tellFrame(s *stream) {
	if p.mayTell(errFrame.Error(), s.name) {
		p.log.Warn("stream broken off, a frame was damaged or forged", "peer", s.name, "addr", s.conn.RemoteAddr())
	}
}
