package vip

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// job is work for the hand: what may block in the kernel for long.
type job struct {
	do    verb
	index int
	what  []netip.Prefix
	port  Port
}

// Jobs of the hand that are no steps of the plan.
const (
	look verb = 100 + iota // read the neighbour table
	rest                   // let the port rest
)

// done is what came of a job.
type done struct {
	job
	ok         []netip.Prefix // those of what that are as they should be now
	neighbours []netip.Addr
	took       time.Duration
	err        error
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
	each := func(f func(netip.Prefix) error) {
		for _, p := range j.what {
			if err := f(p); err != nil {
				errs = append(errs, err)
			} else {
				d.ok = append(d.ok, p)
			}
		}
	}
	put := func(p netip.Prefix) error { return k.sys.Add(j.index, p, k.cfg.Lease) }
	switch j.do {
	case add:
		each(put)
	case remove:
		each(func(p netip.Prefix) error { return k.sys.Remove(j.index, p) })
	case renew:
		// Putting an address that is not there creates it. So only while the lease runs; and if it ends meanwhile, because this process was stopped between the
		// question and the call, the gate is shut over what has been created, and the loop removes it again.
		each(func(p netip.Prefix) error {
			if !k.lease.fresh() {
				return errStale
			}
			return put(p)
		})
	case readd:
		f, err := k.sys.Look(k.cfg.Interface)
		if err != nil {
			errs = append(errs, err)
			break
		}
		j.what = slices.DeleteFunc(slices.Clone(j.what), func(p netip.Prefix) bool { return has(f, p) })
		each(func(p netip.Prefix) error {
			if !k.lease.fresh() {
				return errStale
			}
			return put(p)
		})
	case rest:
		j.port.Rest()
	case look:
		var err error
		d.neighbours, err = k.sys.Neighbours(j.index)
		errs = append(errs, err)
	}
	d.took, d.err = time.Since(start), errors.Join(errs...)
	return d
}

var errStale = errors.New("the lease is not fresh")
