// Command grpc plays gRPC's interoperability tests through the proxy: a client and a server of grpc-go with Tandem between them, HTTP/2 on both
// sides, with and without TLS towards the client. See `make peers-grpc`.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/certs"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// cases are all that need no credentials of a cloud, but pick_first_unary: it wants to be told by the server who it is, which grpc-go's server does not
// do. There are no known deviations.
const cases = `empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server cancel_after_begin
	cancel_after_first_response status_code_and_message special_status_message custom_metadata unimplemented_method unimplemented_service
	orca_per_rpc orca_oob`

// reports has the client listen to load reports: what the cases of orca are about.
const reports = `{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`

// host is the name in the certificate.
const host = "interop.example.org"

func main() {
	client := flag.String("client", "bin/interop-client", "the suite's client")
	server := flag.String("server", "bin/interop-server", "the suite's server")
	only := flag.String("only", "", "cases to play, separated by spaces")
	flag.Parse()
	if *only == "" {
		*only = cases
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := run(ctx, *client, *server, strings.Fields(*only)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, client, server string, names []string) (err error) {
	dir, err := os.MkdirTemp("", "grpc")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	files, err := certificate(dir)
	if err != nil {
		return err
	}
	var addrs [3]netip.AddrPort // the server, and the proxy without and with TLS
	for i := range addrs {
		if addrs[i], err = free(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := exec.CommandContext(ctx, server, "-port", fmt.Sprint(addrs[0].Port()))
	if err := s.Start(); err != nil {
		return err
	}
	defer func() { cancel(); _ = s.Wait() }() // killed
	pools := pool.NewSet([]pool.Config{{Name: "grpc", HTTP2: true, Backends: []pool.BackendConfig{{Name: "a", Address: addrs[0]}}}})
	p, err := proxy.New(proxy.Config{Drain: time.Second, Listeners: []proxy.ListenerConfig{
		{Name: "h2c", Bind: addrs[1], Protocol: proxy.HTTP, Pool: "grpc", H2C: true},
		{Name: "tls", Bind: addrs[2], Protocol: proxy.HTTP, Pool: "grpc", TLS: &proxy.TLS{Certificates: []certs.Files{files}}},
	}}, pools, hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Warn}))
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	<-p.Changed()
	if err := listening(ctx, addrs[0]); err != nil {
		return err
	}
	plain := []string{"-server_host", "127.0.0.1", "-server_port", fmt.Sprint(addrs[1].Port())}
	secure := []string{"-server_host", "127.0.0.1", "-server_port", fmt.Sprint(addrs[2].Port()), "-use_tls", "-use_test_ca", "-ca_file", files.Cert, "-server_host_override", host}
	failed := 0
	for _, name := range names {
		for _, way := range []struct {
			name string
			args []string
		}{{"h2c", plain}, {"TLS", secure}} {
			failed += play(ctx, client, name, way.name, way.args)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d failed", failed)
	}
	fmt.Printf("all %d passed\n", 2*len(names))
	return nil
}

// play plays one case and returns how many failed.
func play(ctx context.Context, client, name, way string, args []string) int {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if strings.HasPrefix(name, "orca") {
		args = append([]string{"-service_config_json", reports}, args...)
	}
	out, err := exec.CommandContext(ctx, client, append([]string{"-test_case", name}, args...)...).CombinedOutput()
	if err != nil {
		fmt.Printf("FAILED  %-4s %s: %v\n%s\n", way, name, err, out)
		return 1
	}
	fmt.Printf("passed  %-4s %s\n", way, name)
	return 0
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

// listening waits until somebody listens.
func listening(ctx context.Context, at netip.AddrPort) error {
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// certificate writes a certificate that signs itself, and its key.
func certificate(dir string) (certs.Files, error) {
	f := certs.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return f, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return f, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return f, err
	}
	return f, errors.Join(
		os.WriteFile(f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
}
