package main

import (
	"errors"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// believer is a client that goes on asking the old leader, whatever is announced.
type believer struct {
	client *lab.Client
	pin    *lab.Fault
}

func (b *bench) believe(leader *lab.Node) (*believer, error) {
	host := b.pair.Stranger
	pin, err := host.Pin(b.pair.VIP, leader.MAC())
	if err != nil {
		return nil, err
	}
	c, err := host.Client(b.addr(lab.PortHTTP), 5*time.Millisecond)
	if err != nil {
		return nil, errors.Join(err, pin.Heal())
	}
	return &believer{c, pin}, nil
}

func (w *believer) end() {
	w.client.Stop()
	_ = w.pin.Heal() // the lab ends with it, or the next pin replaces it
}

// saw counts what became of the attempts from the fault until the old leader fell silent, lapse ms later: refused, or without an answer. The
// last 5 ms before the silence may go either way.
func (w *believer) saw(until, from time.Time, lapse float64) (refused, hanging int) {
	end := from.Add(time.Duration(lapse*float64(time.Millisecond)) - 5*time.Millisecond)
	if until.Before(end) {
		end = until
	}
	r := w.client.Report(from.Add(5*time.Millisecond), end)
	return r.Outcomes[lab.Refused] + r.Outcomes[lab.Reset], r.Outcomes[lab.Timeout]
}
