// Command h2spec holds the proxy's HTTP/2 against the suite of that name, over TLS and without. See `make peers`.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/certs"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// allPass is the end of a run in which all is well, and allButOne that of a run in which only one deviation was found.
const (
	allPass   = "145 passed, 0 skipped, 0 failed"
	allButOne = "144 passed, 0 skipped, 1 failed"
	// deviation is the only one, and only without TLS: the listener speaks HTTP/1.1 too, so what does not begin as HTTP/2 is
	// answered 400 by HTTP/1.1 before the connection ends, where the suite wants to see the end alone.
	deviation = "× 2: Sends invalid connection preface"
)

func main() {
	suite := flag.String("h2spec", "bin/h2spec", "the suite's program")
	only := flag.String("only", "", "sections to run, such as http2/5.1")
	flag.Parse()
	if err := run(context.Background(), *suite, *only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, suite, only string) error {
	backend, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(backend, http.HandlerFunc(hello)) }() //nolint:gosec // it ends with the process
	addr, err := free(ctx)
	if err != nil {
		return err
	}
	secure, err := free(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "h2spec")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is a temporary directory
	files, err := selfSigned(dir)
	if err != nil {
		return err
	}
	pools := pool.NewSet([]pool.Config{{Name: "web", Backends: []pool.BackendConfig{{Name: "a", Address: backend.Addr().(*net.TCPAddr).AddrPort()}}}})
	p, err := proxy.New(proxy.Config{Listeners: []proxy.ListenerConfig{
		{Name: "h2c", Bind: addr, Protocol: proxy.HTTP, Pool: "web", H2C: true},
		{Name: "tls", Bind: secure, Protocol: proxy.HTTP, Pool: "web", TLS: &proxy.TLS{Certificates: []certs.Files{files}}},
	}},
		pools, hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Warn}))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for slices.ContainsFunc(p.Snapshot(), func(l proxy.ListenerStatus) bool { return !l.Open }) {
		<-p.Changed()
	}
	err = errors.Join(hold(ctx, suite, only, addr), hold(ctx, suite, only, secure, "-t", "-k"))
	cancel()
	limit := time.AfterFunc(10*time.Second, func() { panic("the proxy does not end") })
	defer limit.Stop()
	return errors.Join(err, <-ended)
}

// hold runs the suite against one listener.
func hold(ctx context.Context, suite, only string, addr netip.AddrPort, more ...string) error {
	args := append([]string{"-h", addr.Addr().String(), "-p", fmt.Sprint(addr.Port()), "-o", "5"}, more...)
	if only != "" {
		args = append(args, only)
	}
	out, err := exec.CommandContext(ctx, suite, args...).CombinedOutput()
	fmt.Print(string(out))
	switch got := string(out); {
	case only != "", strings.Contains(got, allPass):
		return err
	case len(more) == 0 && strings.Contains(got, allButOne) && strings.Contains(got, deviation):
		return nil
	}
	return errors.Join(err, errors.New("want "+allPass))
}

// selfSigned writes a certificate that nobody trusts.
func selfSigned(dir string) (certs.Files, error) {
	f := certs.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return f, err
	}
	now := time.Now()
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		return f, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return f, err
	}
	return f, errors.Join(
		os.WriteFile(f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

func hello(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, "hello")
}

// free returns an address on which nobody listens.
func free(ctx context.Context) (netip.AddrPort, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close() //nolint:errcheck // only its address was wanted
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}
