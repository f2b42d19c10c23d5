package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// Files says where a certificate is: PEM, with the chain behind it in Cert. Key may be the same file.
type Files struct {
	Cert, Key string
}

// maxFile bounds what is read of a file; the chains of hundreds of authorities fit.
const maxFile = 4 << 20

// Load reads a certificate and checks that it can be served at a moment: that it belongs to the key, has a name, and is
// valid at that time. The error names the file.
func Load(f Files, now time.Time) (*tls.Certificate, error) {
	c, err := read(f)
	if err != nil {
		return nil, err
	}
	return c, valid(f, c.Leaf, now)
}

// read is Load without a look at the time.
func read(f Files) (*tls.Certificate, error) {
	cert, err := readFile(f.Cert)
	if err != nil {
		return nil, err
	}
	key := cert
	if f.Key != f.Cert {
		if key, err = readFile(f.Key); err != nil {
			return nil, err
		}
	}
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	if len(c.Leaf.DNSNames)+len(c.Leaf.IPAddresses) == 0 {
		return nil, fmt.Errorf("certificate %s has no subject alternative name, which clients look for the host in", f.Cert)
	}
	return &c, nil
}

func valid(f Files, leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("certificate %s has expired on %s", f.Cert, leaf.NotAfter.UTC().Format(time.DateTime))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("certificate %s is valid from %s on", f.Cert, leaf.NotBefore.UTC().Format(time.DateTime))
	}
	return nil
}

// Authorities reads the certificates of authorities. The sum tells whether two files have the same content.
func Authorities(path string) (pool *x509.CertPool, sum [32]byte, err error) {
	b, err := readFile(path)
	if err != nil {
		return nil, sum, err
	}
	pool = x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, sum, fmt.Errorf("%s has no certificate of an authority in PEM", path)
	}
	return pool, sha256.Sum256(b), nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold anything up
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	if st, err := f.Stat(); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = errors.New(path + " is larger than 4 MiB")
	}
	return b, err
}
