package daemon

import "github.com/tandem-lb/tandem/cmd/tandem/admin/api"

func (r *reporter) tracked() []api.Tracked {
	var out []api.Tracked
	for _, t := range r.fit.tracker.Snapshot() {
		out = append(out, api.Tracked{
			Kind: string(t.Kind), Name: t.Name, State: api.TrackedState(t.State), Since: t.Since, Reason: t.Reason,
			Weight: t.Weight, Absolute: t.Absolute, CheckMS: float64(t.Took.Microseconds()) / 1000,
		})
	}
	return out
}
