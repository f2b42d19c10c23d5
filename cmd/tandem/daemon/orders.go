package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cmd/tandem/admin"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// orders hands an operator's orders to the election loop.
type orders struct {
	node     *cluster.Node
	reloader *reloader
}

var _ admin.Orders = orders{}

func (o orders) Handover(ctx context.Context, h api.HandoverOrder, by string) (api.Done, error) {
	return o.obey(ctx, cluster.Word{Do: cluster.Handover, To: h.To, By: by})
}

func (o orders) Maintenance(ctx context.Context, m api.MaintenanceOrder, by string) (api.Done, error) {
	w := cluster.Word{Do: cluster.MaintenanceOff, By: by}
	if m.On {
		w.Do, w.Force = cluster.MaintenanceOn, m.Force
	}
	return o.obey(ctx, w)
}

func (o orders) obey(ctx context.Context, w cluster.Word) (api.Done, error) {
	out, err := o.node.Obey(ctx, w)
	if r, ok := errors.AsType[*cluster.Refusal](err); ok {
		return api.Done{}, &api.Refusal{Problem: api.Problem{Error: r.Why, Code: r.Code}}
	}
	return api.Done{
		Moved: out.Moved, From: out.From, To: out.To, Term: out.Term, AwayMS: ms(out.Away), TookMS: ms(out.Took), Note: out.Note,
	}, err
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
