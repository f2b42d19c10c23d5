package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// measure is one figure of a row, and what is wanted of it.
type measure struct {
	unit     string
	want     float64 // of the ratio to the reference; zero: nothing
	least    bool    // at least, else at most
	absolute bool    // want is of the figure itself
}

func atMost(unit string, ratio float64) measure { return measure{unit: unit, want: ratio} }
func atLeast(unit string, ratio float64) measure {
	return measure{unit: unit, want: ratio, least: true}
}

func (m measure) met(seen float64) bool {
	return m.want == 0 || m.least && seen >= m.want || !m.least && seen <= m.want
}

func (m measure) String() string {
	switch {
	case m.want == 0:
		return ""
	case m.absolute:
		return fmt.Sprintf("<= %g", m.want)
	case m.least:
		return fmt.Sprintf(">= %g x", m.want)
	}
	return fmt.Sprintf("<= %g x", m.want)
}

// load has a proxy do something for a time and returns how many units were done.
type load func(ctx context.Context, p peer, burst time.Duration) (float64, error)

// row is something that proxies are given to do.
type row struct {
	name       string
	cost, rate measure
	per        float64 // seconds of CPU for one unit that are printed as 1
	systems    []string
	load       load
	// own measures by itself, where that is not CPU for units of work.
	own func(ctx context.Context, p peer, burst time.Duration) (sample, error)
}

func rows() []row {
	secured := []string{"tandem", "haproxy", "nginx", "caddy"}
	proxies := append(slices.Clone(secured), "stock") // speak HTTP without TLS at least
	const us, ms, gb = 1e-6, 1e-3, 1e-3               // bulk counts MB and is printed per GB
	return []row{
		{name: "keepalive", cost: atMost("us CPU/request", 1.2), rate: atLeast("requests/s", 0.9), per: us, systems: proxies, load: wrk("/1k", 64)},
		{name: "close", cost: atMost("us CPU/request", 0), rate: atLeast("requests/s", 1.2), per: us, systems: proxies, load: wrk("/1k", 64, "-H", "Connection: close")},
		{name: "body", cost: atMost("ms CPU/MiB", 0.7), rate: atLeast("MiB/s", 1.5), per: ms, systems: proxies, load: wrk("/1m", 8)},
		{name: "message", cost: atMost("us CPU/message", 1.2), rate: atLeast("messages/s", 0), per: us, systems: []string{"tandem", "haproxy", "nginx"}, load: messages},
		{name: "bulk", cost: atMost("CPU-s/GB", 0.8), rate: atLeast("MB/s", 1.1), per: gb, systems: []string{"tandem", "haproxy", "nginx"}, load: bulk},
		{name: "h2", cost: atMost("us CPU/request", 2), rate: atLeast("requests/s", 0), per: us, systems: secured, load: h2load},
		{name: "handshake", cost: atMost("us CPU/handshake", 0), rate: atLeast("handshakes/s", 0.8), per: us, systems: secured, load: handshakes(false)},
		{name: "resumed", cost: atMost("us CPU/handshake", 0), rate: atLeast("handshakes/s", 0.8), per: us, systems: secured, load: handshakes(true)},
		{name: "p99", cost: atMost("us, p99 at 1,000 requests/s", 1.5), rate: atLeast("requests/s", 0), systems: secured, own: pace},
		{name: "idle", cost: measure{unit: "KiB/idle connection", want: 10, absolute: true}, rate: atMost("connections", 0), systems: secured, own: idle},
		{name: "udp", cost: atMost("us CPU/answer", 0), rate: atLeast("answers/s", 1), per: us, systems: []string{"tandem", "nginx"}, load: datagrams},
	}
}

func (w row) measures(system string) bool { return slices.Contains(w.systems, system) }

// reference is the system to which the others are compared.
func (w row) reference() string {
	if w.measures("haproxy") {
		return "haproxy"
	}
	return "nginx"
}

// patiently measures once more when a measurement fails: on a busy machine wrk gives up on some connection now and then.
func (b *bench) patiently(ctx context.Context, p peer, w row, burst time.Duration) (sample, error) {
	for attempt := 1; ; attempt++ {
		s, err := w.sample(ctx, p, burst)
		if err == nil || attempt == 3 || ctx.Err() != nil {
			return s, err
		}
		fmt.Fprintf(os.Stderr, "%s through %s, once more: %v\n", w.name, p.name, err)
	}
}

// sample has p do the row for burst.
func (w row) sample(ctx context.Context, p peer, burst time.Duration) (sample, error) {
	onLoadCore()
	if w.own != nil {
		return w.own(ctx, p, burst)
	}
	before, err := cpu(p.pid)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	units, err := w.load(ctx, p, burst)
	if err != nil {
		return sample{}, err
	}
	took := time.Since(began)
	after, err := cpu(p.pid)
	switch {
	case err != nil:
		return sample{}, err
	case units == 0:
		return sample{}, fmt.Errorf("nothing was done")
	}
	return sample{Cost: (after - before).Seconds() / units / w.per, Rate: units / took.Seconds()}, nil
}
