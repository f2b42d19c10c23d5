package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/vip/fence"
)

// Sweep takes from the kernel what a daemon of this node has left there: the addresses of its record that have a lifetime, then the gate, which keeps them
// silent until they are gone. It may be repeated, and interrupted at any point and repeated then. It must not be called while the daemon runs. A virtual address that
// is permanently on a link is not ours: the gate stays then, shut, and the error says what to do.
func Sweep(cfg Config, log hclog.Logger) error {
	cfg = cfg.defaults()
	if err := cfg.check(); err != nil {
		return err
	}
	sys, err := Open(cfg, log)
	if err != nil {
		return err
	}
	return errors.Join(sweepAll(sys, cfg, log.Named("vip")), sys.Close())
}

// sweepAll sweeps the addresses, and, if none is left, the gate and then the record.
func sweepAll(sys System, cfg Config, log hclog.Logger) error {
	if err := sweep(sys, cfg, log); err != nil {
		return err // the gate keeps silent what is left, and the record says what it is
	}
	vips := cfg.vips()
	left, held := false, []error{}
	for _, l := range cfg.Links() {
		f, err := sys.Look(l.Interface)
		if err != nil {
			return err
		}
		for _, v := range vips {
			_, on := f.Find(v)
			left = left || on
		}
		if err := permanent(f, vips); err != nil {
			held = append(held, err)
		}
	}
	gate, none := sys.Gate(cfg.Node, vips, cfg.Failover)
	if left {
		if none == nil {
			held = append(held, shutFor(gate), gate.Close())
		}
		return errors.Join(held...)
	}
	if none == nil { // without nftables there is no gate to remove
		if err := errors.Join(gate.Remove(), gate.Close()); err != nil {
			return err
		}
	}
	if err := removeFormer(sys, cfg, formerNode(cfg)); err != nil {
		return err
	}
	return removeRecord(cfg)
}

// shutFor keeps the gate shut, or puts it there, over an address that is not ours to remove: another node may hold it.
func shutFor(gate Gate) error {
	if gate.Check() == nil {
		return gate.Shut()
	}
	return gate.Install(fence.Shut)
}

// sweep removes the addresses that the record says are ours. The gate stays.
func sweep(sys System, cfg Config, log hclog.Logger) error {
	r, err := readRecord(cfg)
	if err != nil {
		log.Warn("the record of what is in the kernel cannot be read, going by the configured addresses", "err", err)
		r = recordOf(cfg)
	}
	if r == nil {
		return nil
	}
	var errs []error
	for _, l := range r.Links {
		errs = append(errs, sweepLink(sys, l.Interface, l.Addresses, log.With("link", l.Interface)))
	}
	return errors.Join(errs...)
}

func sweepLink(sys System, name string, ours []netip.Prefix, log hclog.Logger) error {
	f, err := sys.Look(name)
	if err != nil || f.Index == 0 {
		return err
	}
	var errs []error
	for _, a := range f.Addrs {
		if a.Permanent || !slices.Contains(ours, a.Prefix) {
			continue
		}
		if err := sys.Remove(f.Index, a.Prefix); err != nil {
			errs = append(errs, fmt.Errorf("sweep: %w", err))
			continue
		}
		log.Info("swept", "vip", a.Prefix.Addr())
	}
	return errors.Join(errs...)
}
