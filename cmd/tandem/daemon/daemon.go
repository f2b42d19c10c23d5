package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cmd/tandem/admin"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/systemd"
	"github.com/tandem-lb/tandem/vip"
)

// Version is what a daemon says of itself.
type Version string

// Source is where the configuration came from, and comes from again.
type Source struct {
	File     string
	Warnings []configs.Warning // of the first time
	Again    <-chan os.Signal  // each asks for a reload
}

// Run runs a whole node until ctx ends, and then hands over, drains and leaves. It returns when everything it started has ended.
// What source says is read again when asked for.
// It refuses to without the capabilities to hold a VIP. The error joins those of all parts that failed. What was put into the kernel is removed on return.
func Run(ctx context.Context, cfg *configs.Config, source Source, version Version, log hclog.Logger) error {
	if !cfg.Cluster.Witness {
		if err := needCaps(); err != nil {
			return err
		}
	}
	// The thread that beats has real-time priority, but to run Go code it needs a processor of Go's too: one more than the others can take.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	collectRarely()
	if err := comeFirst(); err != nil {
		log.Warn("other processes may keep this node from running when the host is overloaded: start it with Nice=-20, or allow it with LimitNICE=-20", "err", err)
	}
	if n, err := raiseFiles(); err != nil {
		log.Warn("could not raise the limit of open files", "limit", n, "err", err)
	}
	lock, err := Acquire(cfg.RunDir, cfg.Cluster.Bind) //nolint:contextcheck // a bind does not wait
	switch {
	case errors.Is(err, ErrRuns):
		return err
	case err != nil:
		log.Warn("run_dir cannot be locked; a second daemon on this host would take the VIP from this one", "err", err)
	}
	defer lock.Release()
	w := World{Again: source.Again, Warned: source.Warnings, Read: func(running *configs.Config) (*configs.Config, []configs.Warning, error) {
		return configs.LoadNext(source.File, running)
	}}
	return RunOn(ctx, w, cfg, version, log)
}

// RunOn is Run in a world of the caller's. It changes nothing of the process, and locks nothing.
func RunOn(ctx context.Context, w World, cfg *configs.Config, version Version, log hclog.Logger) error {
	log.Info("starting", "node", cfg.Node, "version", string(version), "vip", prefixes(cfg.VIP.All()), "link", interfaces(cfg.VIP))
	if cfg.Cluster.Insecure {
		log.Warn("insecure: anyone who reaches the cluster's ports can take the VIP; make a key with `tandem keygen` and set cluster.key_file")
	}
	assemble := assemble
	if cfg.Cluster.Witness {
		assemble = assembleWitness
	}
	d, err := assemble(w, cfg, version, log) //nolint:contextcheck // the drain begins when ctx is done
	if err != nil {
		return err
	}
	return d.run(ctx)
}

// daemon is a node's parts.
type daemon struct {
	cfg   *atomic.Pointer[configs.Config] // of now
	log   hclog.Logger
	parts parts
}

func (d *daemon) run(ctx context.Context) error {
	failed := make(chan error, 1) // the first part that ended although nobody asked it to
	running := d.parts.start(context.WithoutCancel(ctx), d.log, failed)
	d.log.Info("started", "node", d.cfg.Load().Node)
	systemd.Ready(d.log)
	var cause error
	select {
	case <-ctx.Done():
		d.log.Info("stopping", "node", d.cfg.Load().Node)
	case cause = <-failed:
		d.log.Error("stopping: a part that the node cannot do without has failed", "err", cause)
	}
	systemd.Stopping(d.log)
	began := time.Now()
	d.drainIfAlone(d.parts.node.Status())
	err := running.stop()
	d.log.Info("stopped", "node", d.cfg.Load().Node, "took", time.Since(began).Round(time.Millisecond))
	return errors.Join(cause, err)
}

// drainIfAlone ends client connections gracefully before the VIP is let go, if there is nobody to hand it to: with a
// standby in reach the clients are better off there at once.
func (d *daemon) drainIfAlone(s cluster.Status) {
	if !s.Holds {
		return
	}
	for _, p := range s.Peers {
		if p.State == cluster.PeerAlive && p.Fit {
			return
		}
	}
	d.log.Info("draining: no standby to hand over to", "active", d.parts.proxy.Active(), "limit", d.cfg.Load().Drain)
	d.parts.drain()
}

// vipListener returns the address of a listener on a VIP, for the question whether a peer's process still lives; the zero value if there is none.
func vipListener(cfg *configs.Config) netip.AddrPort {
	for _, l := range cfg.Listeners {
		for _, v := range cfg.VIP.All() {
			if v.Addr() == l.Bind.Addr() && l.Protocol != proxy.UDP {
				return l.Bind
			}
		}
	}
	return netip.AddrPort{}
}

func prefixes(ps []netip.Prefix) string {
	s := ""
	for i, p := range ps {
		if i > 0 {
			s += " "
		}
		s += p.String()
	}
	return s
}

func interfaces(v vip.Config) string {
	var names []string
	for _, l := range v.Links() {
		names = append(names, l.Interface)
	}
	return strings.Join(names, " ")
}

// runAdmin makes a socket that does not work a matter for the log: a node without it still does its work.
func runAdmin(w World, s *admin.Server, log hclog.Logger) func(context.Context) error {
	run := s.Run
	if w.Admin != nil {
		run = func(ctx context.Context) error { return s.Serve(ctx, w.Admin) }
	}
	return func(ctx context.Context) error {
		if err := run(ctx); err != nil {
			log.Error("the admin socket does not work; `tandem status` cannot reach this node", "err", err)
		}
		<-ctx.Done()
		return nil
	}
}

var errEnded = errors.New("ended without being asked to")

func endedEarly(name string, err error) error {
	if err == nil {
		err = errEnded
	}
	if strings.HasPrefix(err.Error(), name+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// onPort adds to the error of a part that found its port taken what to do about it.
func onPort(port uint16, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := run(ctx)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		advice := ""
		if !strings.Contains(err.Error(), "another process has it") { // gossip knows by itself
			advice = ": another process has the port: stop it or change cluster.bind"
		}
		return fmt.Errorf("%w%s (see: ss -lntup 'sport = :%d')", err, advice, port)
	}
}
