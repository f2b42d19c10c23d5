package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/vip/link"
)

// Sweep takes from the kernel what a daemon of this node has left there: the addresses of its record that have a lifetime, then the gate, which keeps them
// silent until they are gone. It may be repeated. It must not be called while the daemon runs. A virtual address that is permanently on the link
// is not ours, and is an error that says what to do.
func Sweep(cfg Config, log hclog.Logger) error {
	cfg = cfg.defaults()
	if err := cfg.check(); err != nil {
		return err
	}
	sys, err := Open(cfg, log)
	if err != nil {
		return err
	}
	log = log.Named("vip").With("link", cfg.Interface)
	err = sweep(sys, cfg, log)
	var vips []netip.Addr
	for _, p := range cfg.Addresses {
		vips = append(vips, p.Addr())
	}
	f, looked := sys.Look(cfg.Interface)
	if looked == nil && !slices.ContainsFunc(f.Addrs, func(a link.Addr) bool { return !a.Permanent && slices.Contains(vips, a.Prefix.Addr()) }) {
		gate, none := sys.Gate(cfg.Node, vips, cfg.Failover)
		if none == nil { // without nftables there is no gate to remove
			err = errors.Join(err, gate.Remove(), gate.Close())
		}
		if err == nil {
			err = removeRecord(cfg)
		}
	}
	return errors.Join(err, looked, permanent(f, vips), sys.Close())
}

// sweep removes the addresses that the record says are ours. The gate stays.
func sweep(sys System, cfg Config, log hclog.Logger) error {
	r, err := readRecord(cfg)
	if err != nil {
		log.Warn("the record of what is in the kernel cannot be read, going by the configured addresses", "err", err)
		r = &record{Interface: cfg.Interface, Addresses: cfg.Addresses}
	}
	var errs []error
	if r != nil {
		errs = append(errs, sweepLink(sys, r.Interface, r.Addresses, log))
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
