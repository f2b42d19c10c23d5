package vip

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tandem-lb/tandem/vip/link"
)

// The part of the loop that takes in what others have left for it.

// look takes the inbox.
func (l *loop) look(ctx context.Context, now time.Time) []seen {
	k := l.k
	k.in.mu.Lock()
	l.wish, l.wishAt, l.wishSeq = k.in.wish, k.in.wishAt, k.in.wishSeq
	again, ask := k.in.again, k.in.ask
	k.in.again, k.in.ask = "", false
	var claims []seen
	was := make([]link.Fact, len(l.segs))
	vanished := make([]map[netip.Prefix]bool, len(l.segs))
	for n, s := range l.segs {
		in := &k.in.links[n]
		was[n] = s.fact
		s.fact, s.looked, s.broken = in.fact, in.looked, in.broken
		claims, vanished[n] = append(claims, in.claims...), in.vanished
		in.broken, in.claims, in.vanished = false, nil, nil
	}
	k.in.mu.Unlock()

	if l.barred && (!l.wish.Hold || l.wish.Term != l.voided) {
		l.barred = false
	}
	for n, s := range l.segs {
		for p := range vanished[n] {
			if l.mine[p] && !slices.Contains(l.gap, p) {
				l.gap = append(l.gap, p)
			}
		}
		if s.looked {
			l.linkChanged(ctx, s, was[n], now)
		}
	}
	if ask {
		l.askAt = now
	}
	if again != "" {
		l.again(again, now)
	}
	return claims
}

func (l *loop) linkChanged(ctx context.Context, s *segment, was link.Fact, now time.Time) {
	if s.fact.Index != was.Index {
		for _, p := range s.Addresses { // they went with the link
			delete(l.mine, p)
			l.gap = slices.DeleteFunc(l.gap, func(q netip.Prefix) bool { return p == q })
		}
	}
	if s.broken {
		l.closePort(s)
		s.portAt = now.Add(portRetry)
	}
	if s.fact.Index != s.portIndex || s.fact.Index != 0 && s.port == nil && !now.Before(s.portAt) {
		l.replacePort(ctx, s, now)
	}
	if string(was.MAC) != string(s.fact.MAC) && len(was.MAC) > 0 && len(s.fact.MAC) > 0 {
		s.log.Info("the link's MAC changed", "mac", s.fact.MAC.String(), "was", was.MAC.String())
		l.again("the link's MAC changed", now)
	}
	why := s.fact.Why(l.k.vips, s.vips)
	up := why == ""
	if why == s.why && s.up == up {
		return
	}
	switch {
	case up && !s.up:
		s.log.Info("link up")
	case !up:
		s.log.Warn("link down", "reason", why)
	}
	if s.fact.Why(nil, nil) != "" {
		l.needSeq = l.wishSeq + 1 // what was decided before it went does not hold when it is back
	}
	s.up, s.why = up, why
}

func (l *loop) replacePort(ctx context.Context, s *segment, now time.Time) {
	k := l.k
	l.closePort(s)
	k.in.mu.Lock()
	k.in.links[s.n].broken = false // of the port that was
	k.in.mu.Unlock()
	s.portIndex = s.fact.Index
	if s.fact.Index == 0 {
		return
	}
	port, err := k.sys.Listen(s.fact.Index, slices.ContainsFunc(s.vips, netip.Addr.Is6))
	what := "listen on " + s.Interface
	if was := l.errs[what]; l.fail(what, err) && was == nil {
		s.log.Error("packet sockets cannot be opened, this node cannot lead", "err", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if err != nil {
		s.portAt = now.Add(portRetry)
		return
	}
	s.port, l.askAt, l.restAt = port, now, time.Time{}
	k.in.mu.Lock()
	k.in.links[s.n].port = port
	k.in.mu.Unlock()
	read, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	readers.Go(func() {
		err := port.Receive(read, func(frame []byte) { k.framed(s.n, frame) })
		if err != nil {
			s.log.Warn("listening on the link failed", "err", err)
			k.in.mu.Lock()
			k.in.links[s.n].broken = true
			k.in.mu.Unlock()
			poke(k.poke)
		}
	})
	s.stopRead = func() {
		stop()
		readers.Wait()
	}
}

func (l *loop) closePort(s *segment) {
	if s.port == nil {
		return
	}
	l.k.in.mu.Lock()
	l.k.in.links[s.n].port = nil
	l.k.in.mu.Unlock()
	s.stopRead()
	_ = s.port.Close() // of no use any more in any case
	s.port = nil
}
