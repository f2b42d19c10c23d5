package vip

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// strangerEvery is how often gates of other names are looked for while there are any.
const strangerEvery = 10 * time.Second

// formerNode is the name under which the record of an earlier run was written, if it was another one. Whoever may call this is the only daemon with this record: its
// writer is dead, and nobody will renew or remove its gate.
func formerNode(cfg Config) string {
	if r, err := readRecord(cfg); err == nil && r != nil && r.Node != cfg.Node {
		return r.Node
	}
	return ""
}

// removeFormer takes the gate of a former name out of the kernel.
func removeFormer(sys System, cfg Config, node string) error {
	if node == "" {
		return nil
	}
	g, none := sys.Gate(node, cfg.vips(), cfg.Failover)
	if none != nil {
		return nil //nolint:nilerr // without nftables there is nothing to remove
	}
	if err := errors.Join(g.Remove(), g.Close()); err != nil {
		return fmt.Errorf("remove the gate of %s, as this node was called: %w", node, err)
	}
	return nil
}

// meetStrangers looks for gates of other names over our addresses. Of such a one nobody knows whether its daemon lives: it is told, and not removed.
func (l *loop) meetStrangers(now time.Time) {
	g := l.k.lease.gate
	if g == nil {
		return
	}
	list, err := g.Strangers()
	if err != nil {
		l.k.log.Debug("could not look for gates of other nodes", "err", err)
		return
	}
	if reflect.DeepEqual(list, l.strangers) {
		l.strangersAt = now
		return
	}
	for _, s := range list {
		if !slices.ContainsFunc(l.strangers, func(o Stranger) bool { return o.Table == s.Table && o.Family == s.Family }) {
			l.k.log.Error("the gate of another node silences a vip on this host", "table", s.Family+" "+s.Table, "vip", s.VIPs, "remove", s.Command())
		}
	}
	if len(list) == 0 {
		l.k.log.Info("no gate of another node is over a vip any more")
	}
	l.strangers, l.strangersAt = list, now
}
