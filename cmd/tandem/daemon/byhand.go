package daemon

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/byhand"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// toldTime is how long an order waits for the peers to confirm it: a round trip, and one lost on the way.
const toldTime = 2 * time.Second

func (c *common) shareByHand(ctx context.Context) error { return c.byHand.Run(ctx, c.streams) }

// inForce puts what is set by hand in force. Backends that are not in the file are left alone until they are.
func inForce(pools *pool.Set) func(byhand.Order) {
	return func(o byhand.Order) { pools.SetAdmin(o.Pool, o.Backend, adminOf(o)) }
}

func adminOf(o byhand.Order) pool.Order {
	if o.IsReset() {
		return pool.Order{}
	}
	a := pool.Order{Weight: o.Weight, Reason: o.Reason, Since: o.Since()}
	switch o.Word {
	case byhand.Drain:
		a.Admin = pool.Drain
	case byhand.Maint:
		a.Admin = pool.Maint
	case byhand.Ready:
	}
	return a
}

// handOf is what is set by hand, nil if nothing is.
func handOf(o pool.Order) *api.ByHand {
	if o.Admin == pool.Ready && o.Weight == 0 {
		return nil
	}
	return &api.ByHand{State: o.Admin.String(), Weight: o.Weight, Reason: o.Reason, Since: o.Since}
}

// setter sets backends by hand.
type setter struct {
	board   *byhand.Board
	streams byhand.Streams
	pools   *pool.Set
	log     hclog.Logger
}

func (s *setter) set(ctx context.Context, o api.BackendOrder, by string) (api.BackendDone, error) {
	b, refusal := s.find(o.Pool, o.Backend)
	if refusal != nil {
		return api.BackendDone{}, refusal
	}
	want := byhand.Order{Pool: o.Pool, Backend: o.Backend, Reason: o.Reason, By: by}
	if !o.Reset {
		if o.State == "" && o.Weight == 0 {
			return api.BackendDone{}, refuse("empty", "nothing is asked for: want a state (ready, drain, maint), a weight, or reset")
		}
		want.Word, want.Weight = byhand.Word(o.State), o.Weight
		if want.Word == "" {
			want.Word = byhand.Word(b.Order.Admin.String())
		}
		if want.Weight == 0 {
			want.Weight = b.Order.Weight
		}
	}
	kept, err := s.board.Set(want)
	switch {
	case err != nil && kept.At > 0 && s.isKept(kept):
		s.log.Warn("an operator's order is in force and not kept", "pool", o.Pool, "backend", o.Backend, "err", err)
	case err != nil:
		return api.BackendDone{}, refuse("wrong", err.Error())
	}
	s.log.Info("operator set a backend", "pool", o.Pool, "backend", o.Backend, "word", string(want.Word), "weight", want.Weight, "reset", o.Reset, "reason", o.Reason, "by", by)
	d := api.BackendDone{Pool: o.Pool, Backend: o.Backend}
	if err != nil {
		d.Note = err.Error()
	}
	wait, cancel := context.WithTimeout(ctx, toldTime)
	defer cancel()
	told, untold := s.board.Told(wait, s.streams, kept)
	d.Told, d.Untold = append([]string{}, told...), append([]string{}, untold...)
	if b, _ = s.find(o.Pool, o.Backend); b != nil {
		d.ByHand, d.Active = handOf(b.Order), b.Active
	}
	return d, nil
}

// isKept reports whether o is in force, whatever else went wrong.
func (s *setter) isKept(o byhand.Order) bool {
	for _, x := range s.board.Orders() {
		if x == o {
			return true
		}
	}
	return o.IsReset()
}

func (s *setter) find(inPool, name string) (*pool.BackendStatus, *api.Refusal) {
	for _, p := range s.pools.Snapshot() {
		if p.Name != inPool {
			continue
		}
		for _, b := range p.Backends {
			if b.Name == name {
				return &b, nil
			}
		}
		return nil, refuse("unknown", "pool "+inPool+" has no backend "+name+": tandem status lists them")
	}
	return nil, refuse("unknown", "there is no pool "+inPool+": tandem status lists them")
}

func refuse(code, why string) *api.Refusal {
	return &api.Refusal{Problem: api.Problem{Code: code, Error: why}}
}
