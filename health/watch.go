package health

import (
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"
)

// watch is one target under observation. It is used by one goroutine.
type watch struct {
	*prober
	target Target // with where it is now
	idle   bool   // there is nothing to probe
	track  track
	log    hclog.Logger

	spared bool // the last result was forgiven as late: the next one counts
	stuck  bool // probes cannot be made: told once
	retry  bool // the last result did not count: ask again soon
}

func newWatch(t Target, dial dialFunc, log hclog.Logger) *watch {
	p := newProber(t, dial)
	return &watch{
		prober: p, target: t,
		track: track{rise: p.cfg.Rise, fall: p.cfg.Fall, state: Unchecked},
		log:   log.With("pool", t.Pool, "backend", t.Backend, "addr", told(t.Host, p.addr)),
	}
}

// seek takes in where the backend is now, and reports whether that is another place, of which nothing is known yet.
func (w *watch) seek(at netip.AddrPort, reason string, dial dialFunc) (moved bool) {
	idle := !at.IsValid() && reason == ""
	moved = at != w.target.Address || idle != w.idle
	if w.idle = idle; moved {
		w.target.Address = at
		w.prober = newProber(w.target, dial)
		w.track = track{rise: w.cfg.Rise, fall: w.cfg.Fall, state: Unchecked}
	}
	return moved
}

// told is an address as it is logged.
func told(host string, addr netip.AddrPort) string {
	if host != "" {
		return host
	}
	return addr.String()
}

// take counts a result and reports whether the state has changed. A probe that this host could not make counts
// neither way; a failure that came late because this host slept is forgiven, but never two in a row.
func (w *watch) take(r result) (changed bool) {
	w.log.Debug("probed", "ok", r.ok, "reason", r.reason, "took", r.took, "late", r.late)
	if r.local != w.stuck {
		w.stuck = r.local
		if r.local {
			w.log.Warn("probe could not be made", "reason", r.reason)
		} else {
			w.log.Info("probes can be made again")
		}
	}
	w.retry = r.local || r.late && !w.spared
	w.spared = r.late && !w.spared
	if w.retry {
		return false
	}
	return w.track.add(r.ok)
}

// pause is the time from the start of one probe to the start of the next, before jitter.
func (w *watch) pause() time.Duration {
	if w.retry || w.idle || w.track.changing() {
		return w.cfg.FastInterval
	}
	return w.cfg.Interval
}
