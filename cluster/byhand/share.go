package byhand

import (
	"context"
	"time"

	"github.com/tandem-lb/tandem/cluster/peer"
)

// maxAcks bounds the confirmations that wait to be sent; of what is not confirmed the sender speaks again.
const maxAcks = 256

// Receive takes a message of the kinds peer.Share and peer.Shared. It does not block.
func (b *Board) Receive(m peer.Message) {
	o, err := decode(m.Data, time.Now())
	if err != nil {
		b.log.Warn("a peer sent an order that makes no sense; do the nodes' clocks agree?", "peer", m.From, "err", err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.Kind == peer.Shared {
		b.confirmed(m.From, o)
		return
	}
	before, was := b.orders[o.key()]
	switch {
	case o.newer(before) && (was || len(b.orders) < most):
		b.take(o)
		b.confirmed(m.From, o) // it needs no news of this
		b.log.Info("set by hand at a peer", "peer", o.Node, "pool", o.Pool, "backend", o.Backend, "word", string(o.Word), "weight", o.Weight, "reason", o.Reason, "by", o.By)
	case o == before:
		b.confirmed(m.From, o)
	}
	if len(b.acks) < maxAcks {
		b.acks = append(b.acks, peer.Message{Kind: peer.Shared, From: m.From, Data: m.Data})
	}
	poke(b.changed)
}

// confirmed notes that a peer knows o. The caller holds mu.
func (b *Board) confirmed(from string, o Order) {
	x, is := b.orders[o.key()]
	if b.knows[from] == nil || !is || x.newer(o) {
		return
	}
	b.knows[from][o.key()] = o.At
	close(b.news)
	b.news = make(chan struct{})
}

// Told waits until every peer with a stream knows o, or ctx ends, and returns those that know it and those that do not.
func (b *Board) Told(ctx context.Context, s Streams, o Order) (told, not []string) {
	for {
		told, not = nil, nil
		b.mu.Lock()
		news := b.news
		for name, st := range s.States() {
			switch {
			case b.knows[name][o.key()] >= o.At:
				told = append(told, name)
			case st.Up:
				not = append(not, name)
			}
		}
		b.mu.Unlock()
		if len(not) == 0 {
			return told, not
		}
		select {
		case <-news:
		case <-ctx.Done():
			return told, not
		}
	}
}

// Run tells the peers what they do not know, until ctx ends. A peer that starts anew is told all.
func (b *Board) Run(ctx context.Context, s Streams) error {
	t := time.NewTicker(again)
	defer t.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.changed:
		case <-t.C:
		}
		if err := b.save(); (err != nil) != failing {
			if failing = err != nil; failing {
				b.log.Warn("what was set by hand cannot be kept", "err", err)
			}
		}
		for _, m := range b.due(s.States()) {
			to := m.From
			m.From = ""
			_ = s.Send(ctx, to, m) // what is not confirmed is sent again
		}
	}
}

// due is what to send now: confirmations, and to each peer some of what it has not confirmed. From is to whom.
func (b *Board) due(peers map[string]peer.State) []peer.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.acks
	b.acks = nil
	for name, st := range peers {
		if b.knows[name] == nil || b.boots[name] != st.Boot {
			b.knows[name], b.boots[name] = map[key]int64{}, st.Boot
		}
		n := 0
		for k, o := range b.orders {
			if !st.Up || n == atOnce {
				break
			}
			if b.knows[name][k] == o.At {
				continue
			}
			if data, err := o.encode(); err == nil {
				out = append(out, peer.Message{Kind: peer.Share, From: name, Data: data})
				n++
			}
		}
	}
	return out
}
