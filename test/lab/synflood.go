package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/packet"

	"github.com/tandem-lb/tandem/vip/announce"
)

// SYNFlood sends so many SYNs a second to a listener, from addresses of nobody's, in frames to each of these hosts in turn, until it is healed. At most 50,000.
func (h *Host) SYNFlood(target netip.AddrPort, rate int, to ...*Host) (*Fault, error) {
	const most = 50_000
	what := fmt.Sprintf("SYN flood of %d/s from %s to %s", rate, h.name, target)
	if rate < 1 || rate > most || len(to) == 0 {
		return nil, fmt.Errorf("%s: 1 to %d a second, to one host at least, are allowed", what, most)
	}
	var conn *packet.Conn
	err := h.Do(func() error {
		ifi, err := net.InterfaceByName(eth)
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, 0, nil)
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	if err == nil {
		wg.Go(func() { h.flood(ctx, conn, target, rate, to) })
	}
	f, err := fault(what, err, func() error {
		cancel()
		wg.Wait()
		return conn.Close()
	})
	if err != nil {
		cancel()
		return nil, err
	}
	h.lab.atEnd(func() { _ = f.Heal() })
	return f, nil
}

func (h *Host) flood(ctx context.Context, conn *packet.Conn, target netip.AddrPort, rate int, to []*Host) {
	const burst = 10 * time.Millisecond
	tick := time.NewTicker(burst)
	defer tick.Stop()
	for i := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for range max(rate/int(time.Second/burst), 1) {
			dst := to[i%len(to)].mac
			k := announce.Knock{
				Mine:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(rand.IntN(256)), byte(rand.IntN(256))}), uint16(1024+rand.IntN(60000))),
				Theirs: target, Seq: rand.Uint32(),
			}
			_, _ = conn.WriteTo(k.Frame(announce.MAC(dst), announce.MAC(h.mac)), &packet.Addr{HardwareAddr: dst})
			i++
		}
	}
}
