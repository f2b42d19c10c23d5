package viptest

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/vip"
	"github.com/tandem-lb/tandem/vip/fence"
)

// gate is the kernel's part of a gate: it survives the keeper.
type gate struct {
	installed bool
	timeout   time.Duration
	serve     time.Time // until
	speak     time.Time
	tickets   map[uint32]time.Time
	paved     int         // how often a passage was prepared
	hops      []fence.Hop // connections are passed on there,
	passing   time.Time   // until then
}

func (g *gate) now() fence.Mode {
	now := time.Now()
	switch {
	case !now.Before(g.serve):
		return fence.Shut
	case !now.Before(g.speak):
		return fence.Quiet
	}
	return fence.Open
}

func (g *gate) set(m fence.Mode) {
	until := time.Now().Add(g.timeout)
	g.serve, g.speak = time.Time{}, time.Time{}
	if m >= fence.Quiet {
		g.serve = until
	}
	if m == fence.Open {
		g.speak = until
	}
}

// handle is the keeper's hold on the gate.
type handle struct{ h *Host }

// SetNoGate makes the host one without nftables. It has to be called before the keeper is made.
func (h *Host) SetNoGate(why error) { h.noGate = why }

// Gate implements vip.System.
func (h *Host) Gate(node string, _ []netip.Addr, timeout time.Duration) (vip.Gate, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.noGate != nil {
		return nil, h.noGate
	}
	if h.strangers[node] != nil {
		return stranger{h: h, node: node}, nil
	}
	if h.gate == nil {
		h.gate = &gate{}
	}
	h.gate.timeout = timeout
	return handle{h}, nil
}

// Flush removes the gate's tables, as `nft flush ruleset` does.
func (h *Host) Flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	*h.gate = gate{timeout: h.gate.timeout}
}

// Gated says whether the tables of the gate are there.
func (h *Host) Gated() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gate != nil && h.gate.installed
}

// Mode is what passes the gate now.
func (h *Host) Mode() fence.Mode {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gate.now()
}

// do runs f on the gate, if it is there.
func (x handle) do(f func(*gate) error) error {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	if !x.h.gate.installed {
		return fmt.Errorf("fake: %w", fence.ErrGone)
	}
	return f(x.h.gate)
}

func (x handle) Install(m fence.Mode) error {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	g := x.h.gate
	g.installed, g.tickets = true, make(map[uint32]time.Time)
	g.set(m)
	return nil
}

func (x handle) Remove() error {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	x.h.gate.installed = false
	return nil
}

func (x handle) Arm(ticket uint32) error {
	return x.do(func(g *gate) error {
		g.tickets[ticket] = time.Now().Add(g.timeout)
		return nil
	})
}

func (x handle) Open(ticket uint32, m fence.Mode) error {
	return x.do(func(g *gate) error {
		if !time.Now().Before(g.tickets[ticket]) {
			return fence.ErrLapsed
		}
		delete(g.tickets, ticket)
		g.set(m)
		return nil
	})
}

func (x handle) Turn(from, to fence.Mode) error {
	return x.do(func(g *gate) error {
		if g.now() < from {
			return fence.ErrLapsed
		}
		g.set(to)
		return nil
	})
}

// Renew implements vip.Gate.
func (x handle) Renew(ticket uint32, from, to fence.Mode) error {
	return x.do(func(g *gate) error {
		if !time.Now().Before(g.tickets[ticket]) || g.now() < from {
			return fence.ErrLapsed
		}
		delete(g.tickets, ticket)
		g.set(to)
		return nil
	})
}

// Disarm implements vip.Gate.
func (x handle) Disarm() error {
	return x.do(func(g *gate) error {
		clear(g.tickets)
		return nil
	})
}

// Quieten implements vip.Gate.
func (x handle) Quieten() error {
	return x.do(func(g *gate) error {
		if g.now() != fence.Open {
			return fence.ErrLapsed
		}
		g.speak = time.Time{}
		return nil
	})
}

func (x handle) Shut() error {
	return x.do(func(g *gate) error {
		g.set(fence.Shut)
		clear(g.tickets)
		return nil
	})
}

func (x handle) Check() error { return x.do(func(*gate) error { return nil }) }

func (x handle) Close() error { return nil }

// Passage implements vip.Gate.
func (x handle) Passage([]fence.Hop) error {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	if x.h.passErr == nil {
		x.h.gate.paved++
	}
	return x.h.passErr
}

// PassOn implements vip.Gate.
func (x handle) PassOn(hops []fence.Hop, life time.Duration) error {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	if x.h.passErr != nil {
		return x.h.passErr
	}
	if x.h.gate.paved == 0 {
		return fence.ErrGone
	}
	x.h.gate.hops, x.h.gate.passing = hops, time.Now().Add(life)
	return nil
}

// PassNoMore implements vip.Gate.
func (x handle) PassNoMore() error {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	x.h.gate.hops = nil
	return nil
}

// Strangers implements vip.Gate.
func (x handle) Strangers() ([]vip.Stranger, error) {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	var list []vip.Stranger
	for node, vips := range x.h.strangers {
		list = append(list, vip.Stranger{Table: fence.Table(node), Family: "inet", VIPs: vips})
	}
	return list, nil
}

// SetStranger leaves on this host the gate of another node; without addresses it is removed.
func (h *Host) SetStranger(node string, vips ...netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.strangers = map[string][]netip.Addr{node: vips}
	if len(vips) == 0 {
		h.strangers = nil
	}
}

// stranger is the hold on a gate that another node has left.
type stranger struct {
	vip.Gate // nothing else can be done with it
	h        *Host
	node     string
}

func (s stranger) Close() error { return nil }

func (s stranger) Remove() error {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	delete(s.h.strangers, s.node)
	return nil
}

// Hops is where connections are passed on to now.
func (h *Host) Hops() []fence.Hop {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gate == nil || !time.Now().Before(h.gate.passing) {
		return nil
	}
	return h.gate.hops
}

// SetNoPassage makes PassOn fail.
func (h *Host) SetNoPassage(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.passErr = why
}

// Paved is how often a passage was prepared.
func (h *Host) Paved() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gate.paved
}
