package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const serverName = "bench.test"

// certify makes a certificate: cert.pem, key.pem, and both.pem for HAProxy.
func certify(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	// nginx reads the key before it drops its privileges.
	return errors.Join(os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o644), os.WriteFile(filepath.Join(dir, "key.pem"), private, 0o600),
		os.WriteFile(filepath.Join(dir, "both.pem"), append(cert, private...), 0o600))
}

// h2load asks over HTTP/2 by TLS, 8 connections with 32 streams each.
func h2load(ctx context.Context, p peer, burst time.Duration) (float64, error) {
	total := regexp.MustCompile(`(\d+) done, (\d+) succeeded, (\d+) failed`)
	out, err := exec.CommandContext(ctx, "taskset", "-c", loadCore, "h2load", "-t1", "-c8", "-m32",
		fmt.Sprintf("-D%d", max(1, int(burst.Seconds()))), fmt.Sprintf("https://127.0.0.1:%d/1k", p.https)).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("h2load: %w: %s", err, out)
	}
	m := total.FindSubmatch(out)
	if m == nil || string(m[3]) != "0" {
		return 0, fmt.Errorf("h2load: %s", out)
	}
	return strconv.ParseFloat(string(m[2]), 64)
}

// sessions is a cache of TLS sessions that has one, for all handshakes.
type sessions struct {
	mu    sync.Mutex // guards what follows
	state *tls.ClientSessionState
}

// Get returns the session.
func (s *sessions) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.state != nil
}

// Put keeps the first session.
func (s *sessions) Put(_ string, state *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil {
		s.state = state
	}
}

// handshakes connects by TLS 1.3 and closes, with a session of before or without; four at a time, all with X25519, which every proxy knows.
func handshakes(resume bool) load {
	return func(ctx context.Context, p peer, burst time.Duration) (float64, error) {
		cfg := &tls.Config{
			ServerName: serverName, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
			InsecureSkipVerify: true, // the signature is checked even so
		}
		if resume {
			cfg.ClientSessionCache = &sessions{}
			if err := prime(ctx, p, cfg); err != nil {
				return 0, err
			}
		}
		until := time.Now().Add(burst)
		var done atomic.Int64
		errs := make(chan error, 4)
		for range 4 {
			go func() {
				for ctx.Err() == nil && time.Now().Before(until) {
					if err := handshake(ctx, p, cfg, resume); err != nil {
						errs <- err
						return
					}
					done.Add(1)
				}
				errs <- nil
			}()
		}
		var err error
		for range 4 {
			err = errors.Join(err, <-errs)
		}
		return float64(done.Load()), err
	}
}

func dial(ctx context.Context, port int) (*net.TCPConn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	return c.(*net.TCPConn), nil
}

// prime gets a session.
func prime(ctx context.Context, p peer, cfg *tls.Config) error {
	under, err := dial(ctx, p.https)
	if err != nil {
		return err
	}
	defer under.Close()
	c := tls.Client(under, cfg)
	if _, err := fmt.Fprintf(c, "GET /1k HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n", serverName, p.https); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

// handshake makes one, and waits for the proxy's end, which comes after its own part of it.
func handshake(ctx context.Context, p peer, cfg *tls.Config, resume bool) error {
	under, err := dial(ctx, p.https)
	if err != nil {
		return err
	}
	defer under.Close()
	_ = under.SetLinger(0) // after both ends have closed there is nothing left to lose, and no TIME_WAIT
	c := tls.Client(under, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	if c.ConnectionState().DidResume != resume {
		return fmt.Errorf("resumed: %v, want %v", !resume, resume)
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, c) // its tickets; some proxies end without a last word
	return nil
}
