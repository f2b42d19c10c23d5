package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Resolver follows names.
type Resolver struct {
	cfg    Config
	names  []Name
	report Report
	log    hclog.Logger
	file   string // with the servers of the system
}

// New returns a resolver that tells report where backends are; it does nothing before Run.
func New(cfg Config, names []Name, report Report, log hclog.Logger) *Resolver {
	return &Resolver{cfg: cfg.withDefaults(), names: names, report: report, log: log, file: systemFile}
}

// Run follows the names until ctx ends, and returns nil when every question has ended.
func (r *Resolver) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, n := range r.names {
		wg.Go(func() { r.follow(ctx, &followed{Name: n, at: make([]netip.Addr, len(n.Backends))}) })
	}
	<-ctx.Done()
	wg.Wait()
	return nil
}

// followed is a name and what is known of it. Its goroutine owns it.
type followed struct {
	Name
	at       []netip.Addr // of each backend
	resolved bool         // at least once
	excess   bool         // more addresses than backends: told once
	failed   string       // why the last lookup has failed; empty: it has not
}

// follow asks for a name again and again.
func (r *Resolver) follow(ctx context.Context, f *followed) {
	retry := firstRetry
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		a, err := r.lookup(ctx, f.Host)
		if err == nil {
			a.addrs, err = r.usable(f, a.addrs)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.fail(f, err)
			timer.Reset(retry)
			retry = min(2*retry, lastRetry)
			continue
		}
		retry = firstRetry
		r.take(f, a.addrs)
		timer.Reset(min(max(a.ttl, r.cfg.MinTTL), r.cfg.MaxTTL))
	}
}

// usable keeps the addresses that a backend can have, sorted, each once; the error says that there is none.
func (r *Resolver) usable(f *followed, addrs []netip.Addr) ([]netip.Addr, error) {
	var out []netip.Addr
	why := "nothing"
	for _, a := range addrs {
		a = a.Unmap()
		if reason := refuse(a); reason != "" {
			why = a.String() + ", which " + reason
		} else if reason := r.cfg.Refuse(netip.AddrPortFrom(a, f.Port)); reason != "" {
			why = a.String() + ", which " + reason
		} else {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the answer has no address that a backend can have, but %s", why)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	out = slices.Compact(out)
	return out[:min(len(out), maxAddresses)], nil
}

// refuse says why no backend is at an address; empty: it may be.
func refuse(a netip.Addr) string {
	switch {
	case a.IsLoopback(), a.IsUnspecified(), a.Is4() && a.As4()[0] == 0:
		return "is what blocked names are answered with"
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is for many hosts at once"
	case a.Is6() && a.IsLinkLocalUnicast():
		return "is link-local"
	}
	return ""
}

// fail notes that a lookup has failed. What is known stays.
func (r *Resolver) fail(f *followed, err error) {
	news := err.Error() != f.failed
	f.failed = err.Error()
	if !f.resolved {
		for i, b := range f.Backends {
			reason := ""
			if i == 0 { // the others are there in case that it has more addresses
				reason = f.Host + ": " + f.failed
			}
			r.report(f.Pool, b, netip.AddrPort{}, reason)
		}
	}
	if news {
		r.log.Warn("name of a backend not resolved", "name", f.Host, "pool", f.Pool, "known", f.resolved, "err", err)
	}
}

// take puts a good answer in the place of the last one.
func (r *Resolver) take(f *followed, addrs []netip.Addr) {
	if f.failed != "" {
		r.log.Info("name of a backend resolved again", "name", f.Host, "pool", f.Pool)
		f.failed = ""
	}
	if excess := len(addrs) > len(f.Backends); excess != f.excess {
		if f.excess = excess; excess {
			r.log.Warn("name has more addresses than are used", "name", f.Host, "pool", f.Pool, "addresses", len(addrs), "used", len(f.Backends))
		}
	}
	next := assign(f.Backends, addrs)
	for i, b := range f.Backends {
		if next[i] == f.at[i] && f.resolved {
			continue
		}
		at := netip.AddrPort{}
		if next[i].IsValid() {
			at = netip.AddrPortFrom(next[i], f.Port)
		}
		r.report(f.Pool, b, at, "")
	}
	f.at, f.resolved = next, true
}
