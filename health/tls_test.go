package health

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// identity makes a certificate for name and 10.0.1.21 that signs itself, and a bundle file with it. It is valid in the
// year 2000, where the test bubbles begin.
func identity(t *testing.T, name string) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(10, 0, 1, 21)},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, ca
}

// overTLS makes a backend that answers over TLS; names gets the server name that was asked for.
func overTLS(cfg *tls.Config, names chan string) func(net.Conn) {
	return func(c net.Conn) {
		tc := tls.Server(c, cfg)
		if tc.Handshake() != nil {
			return
		}
		select {
		case names <- tc.ConnectionState().ServerName:
		default:
		}
		answer(ok)(tc)
	}
}

func TestTLSIsChecked(t *testing.T) {
	serverCfg, ca := identity(t, "www.example")
	_, otherCA := identity(t, "www.example")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg    Config
		ok     bool
		local  bool
		reason string // a part of it
		sni    string
	}{
		"trusted by host":     {Config{Host: "www.example:8443", TLSCAFile: ca}, true, false, "status 200", "www.example"},
		"trusted by name":     {Config{Host: "elsewhere", TLSServerName: "www.example", TLSCAFile: ca}, true, false, "status 200", "www.example"},
		"trusted by address":  {Config{TLSCAFile: ca}, true, false, "status 200", ""},
		"wrong name":          {Config{Host: "mail.example", TLSCAFile: ca}, false, false, "tls handshake: tls: failed to verify certificate: x509: certificate is valid for www.example, not mail.example", ""},
		"other CA":            {Config{Host: "www.example", TLSCAFile: otherCA}, false, false, "signed by unknown authority", ""},
		"system's CAs":        {Config{Host: "www.example"}, false, false, "signed by unknown authority", ""},
		"insecure":            {Config{Host: "mail.example", TLSInsecure: true}, true, false, "status 200", "mail.example"},
		"missing CA file":     {Config{TLSCAFile: "/nowhere/ca.pem"}, false, true, "CA file: open /nowhere/ca.pem: no such file or directory", ""},
		"no CA in the file":   {Config{TLSCAFile: empty}, false, true, "no PEM certificate in it", ""},
		"insecure needs none": {Config{TLSCAFile: "/nowhere/ca.pem", TLSInsecure: true}, true, false, "status 200", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.TLS = true
			names := make(chan string, 1)
			r := probeOnce(t, c.cfg, overTLS(serverCfg, names))
			if r.ok != c.ok || r.local != c.local || !strings.Contains(r.reason, c.reason) {
				t.Errorf("got %+v, want ok %v, local %v, %q", r, c.ok, c.local, c.reason)
			}
			if c.ok {
				if got := <-names; got != c.sni {
					t.Errorf("asked for server name %q, want %q", got, c.sni)
				}
			}
		})
	}
}

func TestPlaintextBehindTLSIsToldAsSuch(t *testing.T) {
	r := probeOnce(t, Config{TLS: true}, func(c net.Conn) {
		buf := make([]byte, 4096)
		_, _ = c.Read(buf)
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	})
	if r.ok || r.reason != "tls handshake: the backend does not speak TLS" {
		t.Errorf("got %+v", r)
	}
}

func TestAMuteTLSBackendTimesOut(t *testing.T) {
	r := probeOnce(t, Config{TLS: true, Timeout: 90 * time.Millisecond}, func(c net.Conn) {
		buf := make([]byte, 4096)
		for err := error(nil); err == nil; {
			_, err = c.Read(buf)
		}
	})
	if r.ok || r.reason != "timeout after 90ms (tls handshake)" {
		t.Errorf("got %+v", r)
	}
}

// A backend that asks for a client's certificate gets that of the pool, as it is in the file by then.
func TestAProbeShowsItsCertificate(t *testing.T) {
	server, ca := identity(t, "www.example")
	mine, mineCA := identity(t, "tandem")
	key, err := x509.MarshalPKCS8PrivateKey(mine.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	both, err := os.ReadFile(mineCA)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "me.pem")
	if err := os.WriteFile(file, append(both, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...), 0o600); err != nil {
		t.Fatal(err)
	}
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	server.ClientCAs.AppendCertsFromPEM(both)
	server.Time = func() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		file      string
		ok, local bool
	}{{file, true, false}, {"", false, false}, {"/nowhere/me.pem", false, true}} {
		r := probeOnce(t, Config{TLS: true, TLSCAFile: ca, TLSCertFile: c.file}, overTLS(server, make(chan string, 1)))
		if r.ok != c.ok || r.local != c.local {
			t.Errorf("with %q: %+v, want ok %v, local %v", c.file, r, c.ok, c.local)
		}
	}
}
