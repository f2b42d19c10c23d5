package daemon

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/vip"
)

// vipPart lets the election use the keeper without knowing it.
type vipPart struct {
	*vip.Keeper
	listener address // a listener on a VIP; invalid if there is none
}

var _ cluster.VIP = (*vipPart)(nil)

var errNoListener = errors.New("no listener on a VIP to ask")

func (p *vipPart) Want(w cluster.Wish) {
	p.Keeper.Want(vip.Wish{Hold: w.Hold, Term: w.Term, Quiet: w.Quiet, After: w.After, Check: w.Check, Leader: w.Leader, Reason: w.Reason})
}

func (p *vipPart) Facts() cluster.Facts {
	s := p.State()
	return cluster.Facts{
		Holds: s.Holds && !s.Quiet, Quiet: s.Quiet, QuietAt: s.QuietAt, LinkUp: s.LinkUp, LinkWhy: s.LinkWhy, LostAt: s.LostAt, MACs: s.MACs,
		Took: cluster.Took(s.Took),
		Wire: election.Wire{
			Since: s.Wire.Since, Probes: s.Wire.Probes, PeerAt: s.Wire.PeerAt,
			ForeignAt: s.Wire.ForeignAt, ForeignMAC: s.Wire.ForeignMAC.String(), Deaf: s.Wire.Deaf,
		},
		PeerMAC: s.Wire.PeerMAC, OthersKnown: s.OthersKnown, OthersAt: s.OthersAt,
	}
}

func (p *vipPart) Confirm(ctx context.Context, macs []net.HardwareAddr) (cluster.Verdict, error) {
	listener := p.listener.Load()
	if !listener.IsValid() {
		return cluster.NoAnswer, errNoListener
	}
	v, err := p.Keeper.Confirm(ctx, macs, listener)
	switch {
	case err != nil:
		return cluster.NoAnswer, err
	case v == vip.Refused:
		return cluster.Refused, nil
	case v == vip.Accepted:
		return cluster.Accepted, nil
	}
	return cluster.NoAnswer, nil
}

// traffic lets the election know the forwarding part.
type traffic struct{ *proxy.Proxy }

var _ cluster.Traffic = traffic{}

// raiseFiles raises the limit of open files as far as this process may, and returns the limit now in force.
func raiseFiles() (uint64, error) {
	const want = 1 << 20
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, err
	}
	if r.Cur >= want {
		return r.Cur, nil
	}
	up := syscall.Rlimit{Cur: want, Max: max(want, r.Max)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &up) == nil {
		return want, nil
	}
	up = syscall.Rlimit{Cur: min(r.Max, want), Max: r.Max}
	err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &up)
	return up.Cur, err
}
