package proxy

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/proxy/certs"
)

// authority signs certificates for tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, dir: t.TempDir(), key: key, pool: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	a.file = filepath.Join(a.dir, "ca.pem")
	a.write(a.file, "CERTIFICATE", der)
	return a
}

// write replaces a file as a whole.
func (a *authority) write(path, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		a.t.Fatal(err)
	}
}

// sign makes a certificate, in files called after its first name.
func (a *authority) sign(names ...string) certs.Files {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 6, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	f := certs.Files{Cert: filepath.Join(a.dir, names[0]+".pem"), Key: filepath.Join(a.dir, names[0]+".key")}
	a.write(f.Key, "PRIVATE KEY", k)
	a.write(f.Cert, "CERTIFICATE", der)
	return f
}

func (a *authority) pair(f certs.Files) tls.Certificate {
	a.t.Helper()
	c, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// client is what a client that trusts the authority needs to ask for a name.
func (a *authority) client(name string) *tls.Config {
	return &tls.Config{RootCAs: a.pool, ServerName: name}
}

// secure opens a TLS connection.
func (l *lab) secure(cfg *tls.Config) *tls.Conn {
	l.t.Helper()
	c := tls.Client(l.dial(), cfg)
	if err := c.Handshake(); err != nil {
		l.t.Fatalf("handshake for %s: %v", cfg.ServerName, err)
	}
	return c
}

// ask sends a GET and returns the answer.
func ask(t *testing.T, c net.Conn, host string) (*http.Response, string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		t.Fatal(err)
	}
	return readResponse(t, bufio.NewReader(c), "GET")
}

func tellTLS(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s proto=%s %s", r.Method, r.Host, r.Header.Get("X-Forwarded-Proto"), b)
}

func TestTLSIsTerminated(t *testing.T) {
	a := newAuthority(t)
	one, two := a.sign("one.example.org"), a.sign("*.two.example.org", "two.example.org")
	l := newLab(t, ListenerConfig{Protocol: HTTP, TLS: &TLS{Certificates: []certs.Files{one, two}}}, web(t, tellTLS))
	for _, name := range []string{"one.example.org", "two.example.org", "x.two.example.org"} {
		c := l.secure(a.client(name))
		for range 3 {
			if resp, got := ask(t, c, name); resp.StatusCode != 200 || got != "GET "+name+" proto=https " {
				t.Errorf("%s: %d %q", name, resp.StatusCode, got)
			}
		}
	}
	t.Run("body both ways", func(t *testing.T) {
		c := l.secure(a.client("one.example.org"))
		body := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
		go func() {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: one.example.org\r\nContent-Length: %d\r\n\r\n", len(body))
			c.Write(body)
		}()
		if _, got := readResponse(t, bufio.NewReader(c), "POST"); !strings.HasSuffix(got, string(body)) {
			t.Errorf("%d bytes came back of %d", len(got), len(body))
		}
	})
	t.Run("not what Mozilla's intermediate leaves out", func(t *testing.T) {
		for what, cfg := range map[string]*tls.Config{
			"TLS 1.1": {MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10},
			"CBC":     {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}},
		} {
			cfg.RootCAs, cfg.ServerName = a.pool, "one.example.org"
			if err := tls.Client(l.dial(), cfg).Handshake(); err == nil {
				t.Errorf("%s is accepted", what)
			}
		}
	})
	t.Run("no TLS at all", func(t *testing.T) {
		c := l.dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: one.example.org\r\n\r\n")
		if b, _ := io.ReadAll(c); bytes.Contains(b, []byte("200")) {
			t.Errorf("answered %q", b)
		}
	})
}

func TestOtherHostThanByTLSIsMisdirected(t *testing.T) {
	a := newAuthority(t)
	l := newLab(t, ListenerConfig{Protocol: HTTP, TLS: &TLS{Certificates: []certs.Files{a.sign("one.example.org", "127.0.0.1")}}}, web(t, tellTLS))
	for _, c := range []struct {
		name, host string
		want       int
	}{
		{"one.example.org", "one.example.org", 200},
		{"one.example.org", "ONE.example.org:443", 200},
		{"one.example.org", "two.example.org", 421},
		{"127.0.0.1", "two.example.org", 200}, // names no host by TLS
	} {
		if resp, _ := ask(t, l.secure(a.client(c.name)), c.host); resp.StatusCode != c.want {
			t.Errorf("TLS for %s, Host %s: %d, want %d", c.name, c.host, resp.StatusCode, c.want)
		}
	}
}

func TestClientsShowCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	l := newLab(t, ListenerConfig{Protocol: HTTP, TLS: &TLS{
		Certificates: []certs.Files{a.sign("one.example.org")}, ClientCAFile: a.file,
	}}, web(t, tellTLS))
	good := a.client("one.example.org")
	good.Certificates = []tls.Certificate{a.pair(a.sign("client"))}
	if resp, _ := ask(t, l.secure(good), "one.example.org"); resp.StatusCode != 200 {
		t.Errorf("with a certificate: %d", resp.StatusCode)
	}
	stranger := a.client("one.example.org")
	stranger.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c := other.pair(other.sign("client"))
		return &c, nil
	}
	for what, cfg := range map[string]*tls.Config{"without a certificate": a.client("one.example.org"), "with another authority's": stranger} {
		c := tls.Client(l.dial(), cfg)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: one.example.org\r\n\r\n")
		if b, err := io.ReadAll(c); err == nil || len(b) > 0 {
			t.Errorf("%s: read %q, %v", what, b, err)
		}
	}
}

// TestTicketOfOneNodeResumesAtTheOther is a failover as clients see it: what one node issued, the other takes.
func TestTicketOfOneNodeResumesAtTheOther(t *testing.T) {
	a := newAuthority(t)
	cert := a.sign("one.example.org")
	node := func(key byte, clients string) *lab {
		cfg := Config{Key: bytes.Repeat([]byte{key}, 32), Listeners: []ListenerConfig{{
			Protocol: HTTP, TLS: &TLS{Certificates: []certs.Files{cert}, ClientCAFile: clients},
		}}}
		return newLabOf(t, cfg, webPool(web(t, tellTLS)))
	}
	first, second, stranger, strict := node(1, ""), node(1, ""), node(2, ""), node(1, a.file)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := a.client("one.example.org")
		cfg.MaxVersion, cfg.ClientSessionCache = version, tls.NewLRUClientSessionCache(8)
		cfg.Certificates = []tls.Certificate{a.pair(a.sign("client"))}
		for _, step := range []struct {
			what   string
			at     *lab
			resume bool
		}{
			{"first", first, false}, {"the same node", first, true}, {"the other node", second, true},
			{"another cluster", stranger, false}, {"the other node again", first, false}, {"where clients show certificates", strict, false},
		} {
			c := step.at.secure(cfg)
			ask(t, c, "one.example.org") // the ticket comes with the answer
			if got := c.ConnectionState().DidResume; got != step.resume {
				t.Errorf("%s, %s: resumed %v, want %v", tls.VersionName(version), step.what, got, step.resume)
			}
			c.Close()
		}
	}
}

// TestNewCertificateIsServed changes the files under a running listener, and then spoils them.
func TestNewCertificateIsServed(t *testing.T) {
	a := newAuthority(t)
	f := a.sign("one.example.org")
	l := newLab(t, ListenerConfig{Protocol: HTTP, TLS: &TLS{Certificates: []certs.Files{f}}}, web(t, tellTLS))
	serial := func() string {
		return l.secure(a.client("one.example.org")).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	look := func() {
		for range 2 {
			l.proxy.lookAtFiles(time.Now())
		}
	}
	old := serial()
	a.sign("one.example.org")
	look()
	renewed := serial()
	if renewed == old {
		t.Error("the old certificate is still served")
	}
	a.write(f.Cert, "CERTIFICATE", []byte("nonsense"))
	look()
	if serial() != renewed {
		t.Error("a bad file has replaced the certificate")
	}
	if !strings.Contains(l.log.String(), "the new certificate is bad") {
		t.Error("nobody was told")
	}
}

func TestListenerOpensWhenItsCertificateComes(t *testing.T) {
	a := newAuthority(t)
	missing := certs.Files{Cert: filepath.Join(a.dir, "one.example.org.pem"), Key: filepath.Join(a.dir, "one.example.org.key")}
	cfg := ListenerConfig{Protocol: HTTP, TLS: &TLS{Certificates: []certs.Files{missing}}}
	l := newClosedLab(t, Config{Listeners: []ListenerConfig{cfg}}, webPool(web(t, tellTLS)))
	if st := l.proxy.Snapshot()[0]; st.Open || !strings.Contains(st.Error, "no such file") {
		t.Fatalf("without a certificate: %+v", st)
	}
	a.sign("one.example.org")
	<-l.proxy.Changed()
	if resp, _ := ask(t, l.secure(a.client("one.example.org")), "one.example.org"); resp.StatusCode != 200 {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

func TestTCPListenerTerminatesTLS(t *testing.T) {
	a := newAuthority(t)
	l := newLab(t, ListenerConfig{Protocol: TCP, TLS: &TLS{Certificates: []certs.Files{a.sign("one.example.org")}}}, tcpBackend(t, func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		c.Write(bytes.ToUpper(b))
	}))
	c := l.secure(a.client("one.example.org"))
	io.WriteString(c, "hello")
	c.CloseWrite()
	if b, err := io.ReadAll(c); err != nil || string(b) != "HELLO" {
		t.Errorf("got %q, %v; want HELLO after a half-close", b, err)
	}
}
