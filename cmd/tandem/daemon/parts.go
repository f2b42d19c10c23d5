package daemon

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/proxy"
)

// part is something that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

// parts are a node's parts in the order in which they start; they end in the opposite order, one after the other.
type parts struct {
	list  []part
	node  *cluster.Node
	proxy *proxy.Proxy
	drain func() // stop accepting, and wait for the clients in flight, for a bounded time
}

// running are parts that have been started.
type running struct {
	list []*runningPart
}

type runningPart struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid when done is closed
}

// start starts all parts. One that ends early is told on failed.
func (p *parts) start(ctx context.Context, log hclog.Logger, failed chan<- error) *running {
	r := &running{}
	for _, pt := range p.list {
		ctx, cancel := context.WithCancel(ctx)
		rp := &runningPart{name: pt.name, cancel: cancel, done: make(chan struct{})}
		r.list = append(r.list, rp)
		go rp.run(ctx, pt.run, failed)
		log.Debug("part started", "part", pt.name)
	}
	return r
}

func (rp *runningPart) run(ctx context.Context, run func(context.Context) error, failed chan<- error) {
	defer close(rp.done)
	err := run(ctx)
	if ctx.Err() != nil {
		rp.err = err
		return
	}
	select {
	case failed <- endedEarly(rp.name, err):
	default:
	}
}

// stop ends the parts, the last started first, and waits for each.
func (r *running) stop() error {
	var errs []error
	for i := len(r.list) - 1; i >= 0; i-- {
		rp := r.list[i]
		rp.cancel()
		<-rp.done
		if rp.err != nil && !errors.Is(rp.err, context.Canceled) {
			errs = append(errs, endedEarly(rp.name, rp.err))
		}
	}
	return errors.Join(errs...)
}

// untilAsked lets a part end early without that being a failure: the forwarding does, when it has drained before the rest ends.
func untilAsked(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := run(ctx)
		if err == nil {
			<-ctx.Done()
		}
		return err
	}
}

// idle is a part that has nothing to do.
func idle(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
