package vip

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/vip/link"
)

// The part of the loop that takes in what others have left for it.

// look takes the inbox.
func (l *loop) look(ctx context.Context, now time.Time) []seen {
	k := l.k
	k.in.mu.Lock()
	l.wish, l.wishAt, l.wishSeq = k.in.wish, k.in.wishAt, k.in.wishSeq
	was := l.fact
	l.fact, l.looked = k.in.fact, k.in.looked
	vanished, again, ask, claims := k.in.vanished, k.in.again, k.in.ask, k.in.claims
	k.in.vanished, k.in.again, k.in.ask, k.in.claims = nil, "", false, nil
	l.broken, k.in.broken = k.in.broken, false
	k.in.mu.Unlock()

	for p := range vanished {
		if l.mine[p] && !slices.Contains(l.gap, p) {
			l.gap = append(l.gap, p)
		}
	}
	if l.barred && (!l.wish.Hold || l.wish.Term != l.voided) {
		l.barred = false
	}
	l.linkChanged(ctx, was, now)
	if ask {
		l.askAt = now
	}
	if again != "" {
		l.again(again, now)
	}
	return claims
}

func (l *loop) linkChanged(ctx context.Context, was link.Fact, now time.Time) {
	k := l.k
	if !l.looked {
		return
	}
	if l.fact.Index != was.Index {
		clear(l.mine) // they went with the link
		l.gap = nil
	}
	if l.broken {
		l.closePort()
		l.portAt = now.Add(portRetry)
	}
	if l.fact.Index != l.portIndex || l.fact.Index != 0 && l.port == nil && !now.Before(l.portAt) {
		l.replacePort(ctx, now)
	}
	if string(was.MAC) != string(l.fact.MAC) && len(was.MAC) > 0 && len(l.fact.MAC) > 0 {
		l.again("the link's MAC changed", now)
	}
	why := l.fact.Why(k.vips)
	if why == l.linkWhy && l.linkUp == (why == "") {
		return
	}
	up := why == ""
	switch {
	case up && !l.linkUp:
		k.log.Info("link up")
	case !up:
		k.log.Warn("link down", "reason", why)
	}
	if l.fact.Why(nil) != "" {
		l.needSeq = l.wishSeq + 1 // what was decided before it went does not hold when it is back
	}
	l.linkUp, l.linkWhy = up, why
}

func (l *loop) replacePort(ctx context.Context, now time.Time) {
	k := l.k
	l.closePort()
	k.in.mu.Lock()
	k.in.broken = false // of the port that was
	k.in.mu.Unlock()
	l.portIndex = l.fact.Index
	if l.fact.Index == 0 {
		return
	}
	port, err := k.sys.Listen(l.fact.Index, slices.ContainsFunc(k.vips, netip.Addr.Is6))
	if was := l.errs["listen"]; l.fail("listen", err) && was == nil {
		k.log.Error("packet sockets cannot be opened, this node cannot lead", "err", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if err != nil {
		l.portAt = now.Add(portRetry)
		return
	}
	l.port, l.askAt, l.restAt = port, now, time.Time{}
	k.in.mu.Lock()
	k.in.port = port
	k.in.mu.Unlock()
	read, stop := context.WithCancel(ctx)
	l.stopRead = stop
	l.readers.Go(func() {
		if err := port.Receive(read, k.framed); err != nil {
			k.log.Warn("listening on the link failed", "err", err)
			k.in.mu.Lock()
			k.in.broken = true
			k.in.mu.Unlock()
			poke(k.poke)
		}
	})
}

func (l *loop) closePort() {
	if l.port == nil {
		return
	}
	l.k.in.mu.Lock()
	l.k.in.port = nil
	l.k.in.mu.Unlock()
	l.stopRead()
	l.readers.Wait()
	_ = l.port.Close() // of no use any more in any case
	l.port = nil
}
