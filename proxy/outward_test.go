package proxy

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// secureWeb is a backend by TLS with a certificate for name.
func secureWeb(t *testing.T, a *authority, cfg *tls.Config, name string, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	cfg.Certificates = []tls.Certificate{a.pair(a.sign(name))}
	s.TLS = cfg
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// secureLab is a plain listener before one backend by TLS.
func secureLab(t *testing.T, protocol Protocol, cfg pool.TLS, s *httptest.Server) *lab {
	t.Helper()
	pc := webPool(addrOf(s.Listener))
	pc.TLS = &cfg
	return newLabOf(t, Config{Listeners: []ListenerConfig{{Protocol: protocol}}}, pc)
}

func TestBackendsAreVerified(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	h := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s by TLS for %s %d", r.Host, r.TLS.ServerName, len(b))
	}
	named, addressed := secureWeb(t, a, &tls.Config{}, "backend.example.org", h), secureWeb(t, a, &tls.Config{}, "127.0.0.1", h)
	for _, c := range []struct {
		what string
		cfg  pool.TLS
		s    *httptest.Server
		want int
	}{
		{"its name", pool.TLS{CAFile: a.file, ServerName: "backend.example.org"}, named, 200},
		{"its address", pool.TLS{CAFile: a.file}, addressed, 200},
		{"another name", pool.TLS{CAFile: a.file, ServerName: "other.example.org"}, named, 503},
		{"an address that is not in it", pool.TLS{CAFile: a.file}, named, 503},
		{"another authority", pool.TLS{CAFile: other.file, ServerName: "backend.example.org"}, named, 503},
		{"the system's authorities", pool.TLS{ServerName: "backend.example.org"}, named, 503},
		{"no verification", pool.TLS{Insecure: true}, named, 200},
	} {
		l := secureLab(t, HTTP, c.cfg, c.s)
		conn := l.dial()
		for range 3 {
			if resp, got := ask(t, conn, "x.example.org"); resp.StatusCode != c.want {
				t.Errorf("%s: %d %q, want %d", c.what, resp.StatusCode, got, c.want)
			}
		}
		if failed := strings.Count(l.log.String(), "handshake with a backend failed"); failed != map[int]int{200: 0, 503: 1}[c.want] {
			t.Errorf("%s: told %d times that the handshake failed", c.what, failed)
		}
	}
}

// TestBackendConnectionsByTLSAreUsedAgain also moves bodies that are larger than any buffer.
func TestBackendConnectionsByTLSAreUsedAgain(t *testing.T) {
	a := newAuthority(t)
	s := secureWeb(t, a, &tls.Config{}, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("From", r.RemoteAddr)
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	})
	l := secureLab(t, HTTP, pool.TLS{CAFile: a.file}, s)
	body, from := bytes.Repeat([]byte("0123456789abcdef"), 32<<10), ""
	for i := range 5 {
		resp, err := http.Post("http://"+l.addr, "text/plain", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes came back of %d: %v", len(got), len(body), err)
		}
		if i > 0 && resp.Header.Get("From") != from {
			t.Errorf("request %d went over a new connection", i)
		}
		from = resp.Header.Get("From")
	}
}

func TestWeShowBackendsACertificate(t *testing.T) {
	a := newAuthority(t)
	s := secureWeb(t, a, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool}, "127.0.0.1",
		func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		})
	f := a.sign("tandem")
	l := secureLab(t, HTTP, pool.TLS{CAFile: a.file, CertFile: f.Cert, KeyFile: f.Key}, s)
	if resp, got := ask(t, l.dial(), "x"); resp.StatusCode != 200 || got != "tandem" {
		t.Errorf("with a certificate: %d %q", resp.StatusCode, got)
	}
	l = secureLab(t, HTTP, pool.TLS{CAFile: a.file}, s)
	if resp, _ := ask(t, l.dial(), "x"); resp.StatusCode == 200 {
		t.Error("answered without a certificate")
	}
}

func TestTCPSessionsReachBackendsByTLS(t *testing.T) {
	a := newAuthority(t)
	l := secureLab(t, TCP, pool.TLS{CAFile: a.file}, secureWeb(t, a, &tls.Config{}, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "by TLS")
	}))
	if resp, got := ask(t, l.dial(), "x"); resp.StatusCode != 200 || got != "by TLS" {
		t.Errorf("%d %q", resp.StatusCode, got)
	}
}

func TestFilesForBackendsMayComeLater(t *testing.T) {
	a := newAuthority(t)
	s := secureWeb(t, a, &tls.Config{}, "127.0.0.1", func(http.ResponseWriter, *http.Request) {})
	l := secureLab(t, HTTP, pool.TLS{CAFile: a.file + ".later"}, s)
	if resp, _ := ask(t, l.dial(), "x"); resp.StatusCode != 503 {
		t.Errorf("without authorities: %d", resp.StatusCode)
	}
	if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 0 {
		t.Errorf("%d failures of a backend for a file of ours", b.Failures)
	}
	a.write(a.file+".later", "CERTIFICATE", a.cert.Raw)
	l.proxy.lookAtFiles(s.Certificate().NotBefore)
	l.proxy.lookAtFiles(s.Certificate().NotBefore)
	if resp, _ := ask(t, l.dial(), "x"); resp.StatusCode != 200 {
		t.Errorf("once they are there: %d", resp.StatusCode)
	}
}
