package vip

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/vip/link"
)

// segment is one of the links, as Run sees it.
type segment struct {
	Link
	n    int // its number among the links
	vips []netip.Addr
	log  hclog.Logger

	fact   link.Fact
	looked bool // there has been a report of the link
	up     bool
	why    string // it is not up

	port      Port
	portIndex int
	portAt    time.Time // when to open it again
	broken    bool      // its readers have failed
	stopRead  func()
}

func newSegment(k *Keeper, n int) *segment {
	l := k.links[n]
	s := &segment{Link: l, n: n, log: k.log.With("link", l.Interface), why: unseen(l.Interface), stopRead: func() {}}
	for _, p := range l.Addresses {
		s.vips = append(s.vips, p.Addr())
	}
	return s
}

// unseen is why a link is not up before the kernel's first report.
func unseen(link string) string { return link + " was not looked at yet" }

// speaks says whether frames can be sent on the link.
func (s *segment) speaks() bool { return s.port != nil && s.up }

// of returns the segment of an address.
func (l *loop) of(a netip.Addr) *segment {
	i := slices.IndexFunc(l.segs, func(s *segment) bool { return slices.Contains(s.vips, a) })
	return l.segs[i] // there is one for every address
}

// spots says where addresses are to be put.
func (l *loop) spots(what []netip.Prefix) []spot {
	var all []spot
	for _, p := range what {
		s := l.of(p.Addr())
		all = append(all, spot{link: s.Interface, index: s.fact.Index, p: p})
	}
	return all
}

// all says whether f is so for every segment; any whether it is for one.
func (l *loop) all(f func(*segment) bool) bool {
	return !slices.ContainsFunc(l.segs, func(s *segment) bool { return !f(s) })
}

func (l *loop) any(f func(*segment) bool) bool { return slices.ContainsFunc(l.segs, f) }

// linkWhy says what keeps the links from carrying the addresses; empty: nothing. One that is down is enough: the addresses move together.
func (l *loop) linkWhy() string {
	why := ""
	for _, s := range l.segs {
		if s.why != "" && why != "" {
			why += "; "
		}
		why += s.why
	}
	return why
}
