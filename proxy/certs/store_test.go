package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// made is a certificate with its key in PEM.
type made struct{ cert, key []byte }

func create(t *testing.T, rsaKey bool, from, until time.Time, names ...string) made {
	t.Helper()
	var pub, priv any
	if rsaKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		pub, priv = &k.PublicKey, k
	} else {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pub, priv = &k.PublicKey, k
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: until, DNSNames: names}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, priv)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return made{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}),
	}
}

func (m made) write(t *testing.T, f Files) {
	t.Helper()
	replace(t, f.Cert, m.cert)
	replace(t, f.Key, m.key)
}

// replace writes a file as tools that renew do: a new one takes the old one's name.
func replace(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func in(dir, name string) Files {
	return Files{Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key")}
}

// served is the name of the certificate that a client gets: its first.
func served(t *testing.T, s *Store, name string) string {
	t.Helper()
	c, err := s.Get(&tls.ClientHelloInfo{ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256}})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.DNSNames[0]
}

func newStore(t *testing.T, files ...Files) (*Store, *strings.Builder) {
	t.Helper()
	var log strings.Builder
	return NewStore(files, hclog.New(&hclog.LoggerOptions{Output: &log})), &log
}

func TestCertificateIsChosenByName(t *testing.T) {
	dir := t.TempDir()
	a, b, c := in(dir, "a"), in(dir, "b"), in(dir, "c")
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "a.example.org").write(t, a)
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "*.example.org", "example.org").write(t, b)
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "x.c.example.org").write(t, c)
	s, _ := newStore(t, a, b, c)
	if err := s.Load(epoch.AddDate(0, 1, 0)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a.example.org": "a.example.org", "A.Example.ORG": "a.example.org", "z.example.org": "*.example.org",
		"example.org": "*.example.org", "x.c.example.org": "x.c.example.org",
		"": "a.example.org", "other.net": "a.example.org", "y.x.example.org": "a.example.org",
	} {
		if got := served(t, s, name); got != want {
			t.Errorf("%q gets the certificate of %s, want that of %s", name, got, want)
		}
	}
}

func TestClientGetsTheKindOfKeyThatItUnderstands(t *testing.T) {
	dir := t.TempDir()
	e, r := in(dir, "ecdsa"), in(dir, "rsa")
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "a.example.org").write(t, e)
	create(t, true, epoch, epoch.AddDate(1, 0, 0), "a.example.org").write(t, r)
	s, _ := newStore(t, e, r)
	if err := s.Load(epoch.AddDate(0, 1, 0)); err != nil {
		t.Fatal(err)
	}
	for scheme, want := range map[tls.SignatureScheme]x509.PublicKeyAlgorithm{tls.ECDSAWithP256AndSHA256: x509.ECDSA, tls.PSSWithSHA256: x509.RSA} {
		c, err := s.Get(&tls.ClientHelloInfo{ServerName: "a.example.org", SupportedVersions: []uint16{tls.VersionTLS13},
			SignatureSchemes: []tls.SignatureScheme{scheme}})
		if err != nil || c.Leaf.PublicKeyAlgorithm != want {
			t.Errorf("a client of %v gets %v (%v)", scheme, c.Leaf.PublicKeyAlgorithm, err)
		}
	}
}

// TestChangedFilesAreReadOnceTheyAreWhole also holds that a bad new file keeps the old certificate, loudly.
func TestChangedFilesAreReadOnceTheyAreWhole(t *testing.T) {
	dir, now := t.TempDir(), epoch.AddDate(0, 1, 0)
	f := in(dir, "a")
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "old.example.org").write(t, f)
	s, log := newStore(t, f)
	if err := s.Load(now); err != nil {
		t.Fatal(err)
	}
	look := func(times int, want, says string) {
		t.Helper()
		log.Reset()
		for range times {
			s.Look(now)
		}
		if got := served(t, s, ""); got != want {
			t.Errorf("serves %s, want %s", got, want)
		}
		if says == "" && log.Len() > 0 || !strings.Contains(log.String(), says) || strings.Count(log.String(), "\n") > 1 {
			t.Errorf("log %q, want one line with %q", log, says)
		}
	}
	next := create(t, false, epoch, epoch.AddDate(1, 0, 0), "new.example.org")
	look(3, "old.example.org", "")
	replace(t, f.Cert, next.cert)
	look(1, "old.example.org", "") // the key is still on its way
	replace(t, f.Key, next.key)
	look(1, "old.example.org", "")
	look(1, "new.example.org", "certificate loaded")
	look(3, "new.example.org", "")

	for what, bad := range map[string]made{
		"private key does not match":  {next.cert, create(t, false, epoch, epoch, "x").key},
		"has expired":                 create(t, false, epoch, epoch.AddDate(0, 0, 1), "late.example.org"),
		"is valid from":               create(t, false, epoch.AddDate(0, 2, 0), epoch.AddDate(1, 0, 0), "early.example.org"),
		"failed to find any PEM data": {[]byte("nonsense"), next.key},
		"no subject alternative name": create(t, false, epoch, epoch.AddDate(1, 0, 0)),
	} {
		bad.write(t, f)
		look(4, "new.example.org", what)
	}
	if err := os.Remove(f.Cert); err != nil {
		t.Fatal(err)
	}
	look(4, "new.example.org", "no such file")
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "third.example.org").write(t, f)
	look(2, "third.example.org", "certificate loaded")
}

func TestEndOfACertificateIsTold(t *testing.T) {
	f := in(t.TempDir(), "a")
	create(t, false, epoch, epoch.AddDate(0, 3, 0), "a.example.org").write(t, f)
	s, log := newStore(t, f)
	if err := s.Load(epoch.AddDate(0, 1, 0)); err != nil || log.Len() > 0 {
		t.Fatalf("%v, %q", err, log)
	}
	s.Look(epoch.AddDate(0, 3, -10))
	s.Look(epoch.AddDate(0, 3, -9))
	if n := strings.Count(log.String(), "ends soon"); n != 1 {
		t.Errorf("told %d times that it ends: %s", n, log)
	}
	s.Look(epoch.AddDate(0, 3, 1))
	s.Look(epoch.AddDate(0, 3, 2))
	if n := strings.Count(log.String(), "has expired"); n != 1 {
		t.Errorf("told %d times that it has ended: %s", n, log)
	}
	if got := served(t, s, "a.example.org"); got != "a.example.org" {
		t.Errorf("serves %s", got)
	}
}

func TestOneBadCertificateAtTheStartLeavesTheOthers(t *testing.T) {
	dir, now := t.TempDir(), epoch.AddDate(0, 1, 0)
	a, b := in(dir, "a"), in(dir, "b")
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "b.example.org").write(t, b)
	s, log := newStore(t, a, b)
	if err := s.Load(now); err != nil || !strings.Contains(log.String(), "cannot be used") {
		t.Fatalf("Load: %v, log %q", err, log)
	}
	if got := served(t, s, "a.example.org"); got != "b.example.org" {
		t.Errorf("serves %s", got)
	}
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "a.example.org").write(t, a)
	s.Look(now)
	s.Look(now)
	if got := served(t, s, "a.example.org"); got != "a.example.org" {
		t.Errorf("serves %s after the file has come", got)
	}
	alone, _ := newStore(t, in(dir, "none"))
	if err := alone.Load(now); err == nil || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("Load without any certificate: %v", err)
	}
}
