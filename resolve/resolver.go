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

// Resolver follows names. Its methods may be called concurrently.
type Resolver struct {
	report Report
	log    hclog.Logger
	file   string // with the servers of the system

	changing sync.Mutex // held while names are changed; before mu

	mu    sync.Mutex // guards what follows
	cfg   Config
	names []Name
	live  map[string]*live
	known map[string][]netip.Addr // the last good answer for each host
	ctx   context.Context         // of Run; nil when it does not run
}

// live is a name that is followed.
type live struct {
	stop context.CancelFunc
	done chan struct{}
}

// New returns a resolver that tells report where backends are; it does nothing before Run.
func New(cfg Config, names []Name, report Report, log hclog.Logger) *Resolver {
	return &Resolver{cfg: cfg.withDefaults(), names: names, report: report, log: log, file: systemFile, live: map[string]*live{}, known: map[string][]netip.Addr{}}
}

// Run follows the names until ctx ends, and returns nil when every question has ended.
func (r *Resolver) Run(ctx context.Context) error {
	r.begin(ctx)
	<-ctx.Done()
	r.changing.Lock()
	defer r.changing.Unlock()
	r.mu.Lock()
	r.ctx = nil
	ended := r.live
	r.live = map[string]*live{}
	r.mu.Unlock()
	for _, l := range ended {
		<-l.done
	}
	return nil
}

func (r *Resolver) begin(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx = ctx
	r.start() //nolint:contextcheck // it has it from r
}

// Set has other names followed, by other servers. Names that stay are asked for when their time is over; what is known of a host is told at once of
// backends that are new. When it returns, nothing is reported any more of those that have gone.
func (r *Resolver) Set(cfg Config, names []Name) {
	r.changing.Lock()
	defer r.changing.Unlock()
	stays := map[string]bool{}
	for _, n := range names {
		stays[n.key()] = true
	}
	var gone []*live
	r.mu.Lock()
	for key, l := range r.live {
		if !stays[key] {
			l.stop()
			gone = append(gone, l)
			delete(r.live, key)
		}
	}
	r.mu.Unlock()
	for _, l := range gone {
		<-l.done
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg, r.names = cfg.withDefaults(), names
	r.start()
}

// key tells names apart.
func (n Name) key() string { return fmt.Sprintf("%q %q %d %q", n.Pool, n.Host, n.Port, n.Backends) }

// start follows the names that are not followed yet. The caller holds mu.
func (r *Resolver) start() {
	for _, n := range r.names {
		if r.ctx == nil || r.live[n.key()] != nil {
			continue
		}
		ctx, stop := context.WithCancel(r.ctx)
		l := &live{stop: stop, done: make(chan struct{})}
		r.live[n.key()] = l
		go func() {
			defer close(l.done)
			r.follow(ctx, &followed{Name: n, at: make([]netip.Addr, len(n.Backends))})
		}()
	}
}

// config is whom to ask now.
func (r *Resolver) config() Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg
}

// remembered is the last good answer for a host, nil if there was none; good is one that is.
func (r *Resolver) remembered(host string, good []netip.Addr) []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if good != nil {
		r.known[host] = good
	}
	return r.known[host]
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
	if addrs, err := r.config().usable(f, r.remembered(f.Host, nil)); err == nil {
		r.take(f, addrs)
	}
	retry := firstRetry
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		cfg := r.config()
		a, err := r.lookup(ctx, &cfg, f.Host)
		if err == nil {
			a.addrs, err = cfg.usable(f, a.addrs)
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
		r.take(f, r.remembered(f.Host, a.addrs))
		timer.Reset(min(max(a.ttl, cfg.MinTTL), cfg.MaxTTL))
	}
}

// usable keeps the addresses that a backend can have, sorted, each once; the error says that there is none.
func (c Config) usable(f *followed, addrs []netip.Addr) ([]netip.Addr, error) {
	var out []netip.Addr
	why := "nothing"
	for _, a := range addrs {
		a = a.Unmap()
		if reason := refuse(a); reason != "" {
			why = a.String() + ", which " + reason
		} else if reason := c.Refuse(netip.AddrPortFrom(a, f.Port)); reason != "" {
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
