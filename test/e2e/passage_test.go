package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

// slow asks for an answer that takes 100 ms, from the client's host, on a connection of its own.
func (s *scene) slow(ctx context.Context, at netip.Addr) error {
	dial := func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = s.Client.Do(func() error {
			conn, err = (&net.Dialer{Timeout: 800 * time.Millisecond}).DialContext(ctx, network, addr) // less than a SYN that is sent again takes
			return err
		})
		return conn, err
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/slow", netip.AddrPortFrom(at, lab.PortHTTP)), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || len(body) != len(lab.Answer("x"))) {
		err = fmt.Errorf("status %d, %d bytes", resp.StatusCode, len(body))
	}
	return err
}

// What was asked of the old leader is answered by it, though the client's frames go to the new one by then.
func TestRequestsOutliveAHandover(t *testing.T) {
	story(t, func(t *try) {
		s := start(t, lab.PairConfig{IPv6: true})
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		var asked int
		var failed []error
		var clients sync.WaitGroup
		for n := range 16 {
			at := []netip.Addr{s.VIP, s.VIP6}[n%2]
			clients.Go(func() {
				for ctx.Err() == nil {
					err := s.slow(t.Context(), at)
					mu.Lock()
					if asked++; err != nil {
						failed = append(failed, err)
					}
					mu.Unlock()
				}
			})
		}
		s.pass(300 * time.Millisecond)
		const times = 4
		for range times {
			s.order(s.standby, "handover").is(t, 0, s.standby.Name()+" leads, handed over from", "")
			s.leader, s.standby = s.standby, s.leader
			s.pass(time.Second)
		}
		stop()
		clients.Wait()
		// Without a passage those under way are lost, all 16 in each handover. On a busy host an answer may take longer than an old leader waits.
		if asked < times*16 || len(failed) > times*16/4 {
			t.Errorf("%d of %d requests failed: %v", len(failed), asked, errors.Join(failed...))
		}
		t.Logf("%d requests", asked)
		_, v := s.seen()
		if v.Dual.Total > times*step {
			t.Errorf("observer: %s", v)
		}
	})
}
