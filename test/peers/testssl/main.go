// Command testssl has testssl.sh look at the proxy's TLS, with both settings of min_version: no finding may be above low. There are no
// known deviations. See `make peers`.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/certs"
	"github.com/tandem-lb/tandem/test/peers/stand"
)

func main() { stand.Main(run) }

func run(s *stand.Stand) error {
	backend, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Serve(backend, func(l net.Listener) error {
		return (&http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello")
		})}).Serve(l)
	})
	cert, key, err := s.Certificate()
	if err != nil {
		return err
	}
	for name, only13 := range map[string]bool{"1.2": false, "1.3": true} {
		at, err := stand.Free("127.0.0.1")
		if err != nil {
			return err
		}
		if _, err := s.Proxy(proxy.Config{Listeners: []proxy.ListenerConfig{{
			Name: "web", Bind: at, Protocol: proxy.HTTP, Pool: "web",
			TLS: &proxy.TLS{Certificates: []certs.Files{{Cert: cert, Key: key}}, OnlyTLS13: only13},
		}}}, stand.Pool("web", backend.Addr().(*net.TCPAddr).AddrPort())); err != nil {
			return err
		}
		s.Check("min_version "+name, scan(filepath.Join(s.Dir, name+".json"), fmt.Sprintf("localhost:%d", at.Port())))
	}
	return nil
}

// finding is one of testssl's.
type finding struct{ ID, Severity, Finding string }

// scan looks at protocols, kinds of ciphers, forward secrecy and known holes.
func scan(file, target string) error {
	out, _ := stand.Run(3*time.Minute, "testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1",
		"-p", "-s", "-f", "-U", "--jsonfile", file, target) // its status counts findings
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	var all []finding
	if err := json.Unmarshal(b, &all); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	var bad []string
	for _, f := range all {
		// engine_problem is about testssl's own OpenSSL.
		if !slices.Contains([]string{"OK", "INFO", "LOW"}, f.Severity) && f.ID != "engine_problem" {
			bad = append(bad, fmt.Sprintf("%s %s: %s", f.Severity, f.ID, f.Finding))
		}
	}
	// A run that has seen nothing finds nothing.
	if len(all) < 30 || !slices.ContainsFunc(all, func(f finding) bool { return f.ID == "TLS1_3" && strings.HasPrefix(f.Finding, "offered") }) {
		bad = append(bad, fmt.Sprintf("only %d findings: %s", len(all), out))
	}
	if len(bad) > 0 {
		return fmt.Errorf("%s", strings.Join(bad, "\n"))
	}
	return nil
}
