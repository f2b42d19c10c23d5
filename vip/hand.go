package vip

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/tandem-lb/tandem/vip/fence"
)

// job is work for the hand: what may block in the kernel for long.
type job struct {
	do    verb
	what  []spot
	index []int       // of the links, for look
	ports []Port      // for rest
	hops  []fence.Hop // for add: pass connections on there first; for pave: by these links
}

// spot is an address, and the link that it belongs on.
type spot struct {
	link  string
	index int
	p     netip.Prefix
}

// Jobs of the hand that are no steps of the plan.
const (
	look   verb = 100 + iota // read the neighbour table
	rest                     // let the ports rest
	unpass                   // pass no more connections on
	pave                     // prepare to pass connections on
)

// done is what came of a job.
type done struct {
	job
	ok         []spot         // those of what that are as they should be now
	neighbours [][]netip.Addr // by link, as index
	took       time.Duration
	err        error
	passErr    error // connections cannot be passed on
}

// hand does the jobs, one after the other, so that the loop which decides never waits for the kernel's routing lock.
func (k *Keeper) hand(ctx context.Context, jobs <-chan job, results chan<- done) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-jobs:
			results <- k.carryOut(j) // room for one, and one job is under way at a time
		}
	}
}

func (k *Keeper) carryOut(j job) done {
	start := time.Now()
	d := done{job: j}
	var errs []error
	each := func(f func(spot) error) {
		for _, x := range j.what {
			if err := f(x); err != nil {
				errs = append(errs, err)
			} else {
				d.ok = append(d.ok, x)
			}
		}
	}
	put := func(x spot) error { return k.sys.Add(x.index, x.p, k.cfg.Lease) }
	// Putting an address that is not there creates it. So only while the lease runs; and if it ends meanwhile, because this process was stopped between the
	// question and the call, the gate is shut over what has been created, and the loop removes it again.
	again := func(x spot) error {
		if !k.lease.fresh() {
			return errStale
		}
		return put(x)
	}
	switch j.do {
	case add:
		if len(j.hops) > 0 {
			d.passErr = k.lease.gate.PassOn(j.hops, passTime)
		}
		each(put)
	case pave:
		errs = append(errs, k.lease.gate.Passage(j.hops))
	case unpass:
		errs = append(errs, k.lease.gate.PassNoMore())
	case remove:
		each(func(x spot) error { return k.sys.Remove(x.index, x.p) })
	case renew:
		each(again)
	case readd:
		var err error
		if j.what, err = k.missing(j.what); err != nil {
			errs = append(errs, err)
			break
		}
		each(again)
	case rest:
		for _, p := range j.ports {
			p.Rest()
		}
	case look:
		for _, index := range j.index {
			var found []netip.Addr
			if index != 0 { // which would be all links
				var err error
				found, err = k.sys.Neighbours(index)
				errs = append(errs, err)
			}
			d.neighbours = append(d.neighbours, found)
		}
	}
	d.took, d.err = time.Since(start), errors.Join(errs...)
	return d
}

// missing returns those that are not on their links: what was reported missing may have been put back meanwhile.
func (k *Keeper) missing(what []spot) ([]spot, error) {
	var left []spot
	for _, x := range what {
		f, err := k.sys.Look(x.link)
		if err != nil {
			return nil, err
		}
		if !has(f, x.p) {
			left = append(left, x)
		}
	}
	return left, nil
}

var errStale = errors.New("the lease is not fresh")
