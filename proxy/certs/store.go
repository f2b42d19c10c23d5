package certs

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// soon is how long before its end a certificate is warned of. Automatic renewal happens at 30 days, so
// something has gone wrong for a while by then.
const soon = 14 * 24 * time.Hour

// Store is a set of certificates of which clients choose by name. Load and Look are for one goroutine, Get is for any.
type Store struct {
	log   hclog.Logger
	pairs []pair
	table atomic.Pointer[table]
}

// pair is one certificate and its files.
type pair struct {
	files Files
	watch Watch
	cert  *tls.Certificate // nil: could not be read yet
	state state
	bad   string // why the files that are there now are not used; they are read again, for it may be a matter of time or of rights
}

// state is how near a certificate's end is.
type state uint8

const (
	good state = iota
	ending
	ended
)

// NewStore returns a store for certificates, of which the first is that of clients that name no other. It reads
// nothing yet.
func NewStore(files []Files, log hclog.Logger) *Store {
	s := &Store{log: log}
	for _, f := range files {
		s.pairs = append(s.pairs, pair{files: f})
	}
	return s
}

// Load reads all certificates. Those that cannot be read are told of, and left out. The error says that none is
// left. A certificate that has expired is served, and told of: what to make of it is for the client to say.
func (s *Store) Load(now time.Time) error {
	var errs []error
	for i := range s.pairs {
		p := &s.pairs[i]
		p.watch = NewWatch(p.files.Cert, p.files.Key)
		cert, err := read(p.files)
		if err != nil {
			errs = append(errs, err)
			p.bad = err.Error()
			continue
		}
		p.cert = cert
		s.age(p, now)
	}
	if len(errs) == len(s.pairs) {
		return errors.Join(errs...)
	}
	for _, err := range errs {
		s.log.Error("a certificate cannot be used; clients that ask for its names get another", "err", err)
	}
	s.table.Store(newTable(s.pairs))
	return nil
}

// Look reads what has changed. A new certificate that is bad is told of, and the old one stays.
func (s *Store) Look(now time.Time) {
	changed := false
	for i := range s.pairs {
		p := &s.pairs[i]
		if (p.watch.Changed() || p.bad != "") && s.renew(p, now) {
			changed = true
		}
		s.age(p, now)
	}
	if changed {
		s.table.Store(newTable(s.pairs))
	}
}

// renew reads a certificate anew and reports whether it is served from now on.
func (s *Store) renew(p *pair, now time.Time) bool {
	cert, err := Load(p.files, now)
	if err != nil {
		if p.bad != err.Error() {
			s.log.Error("the new certificate is bad; the old one stays in use", "err", err)
		}
		p.bad = err.Error()
		return false
	}
	p.bad = ""
	if p.cert != nil && bytes.Equal(p.cert.Leaf.Raw, cert.Leaf.Raw) {
		return false
	}
	p.cert, p.state = cert, good
	s.log.Info("certificate loaded", "file", p.files.Cert, "names", strings.Join(cert.Leaf.DNSNames, " "),
		"until", cert.Leaf.NotAfter.UTC().Format(time.DateTime))
	return true
}

// age tells of a certificate that ends.
func (s *Store) age(p *pair, now time.Time) {
	if p.cert == nil {
		return
	}
	st := good
	switch left := p.cert.Leaf.NotAfter.Sub(now); {
	case left <= 0:
		st = ended
	case left <= soon:
		st = ending
	}
	if st == p.state {
		return
	}
	p.state = st
	until := p.cert.Leaf.NotAfter.UTC().Format(time.DateTime)
	switch st {
	case ended:
		s.log.Error("certificate has expired; clients refuse it", "file", p.files.Cert, "until", until)
	case ending:
		s.log.Warn("certificate ends soon, and has not been renewed", "file", p.files.Cert, "until", until)
	case good: // it was renewed
	}
}

// Get chooses the certificate for a client: by the name that it asks for, and among several of that name the first
// that it understands. One that asks for no name, or an unknown one, gets the first of all.
func (s *Store) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	t := s.table.Load()
	if t == nil {
		return nil, errors.New("no certificate is loaded")
	}
	all := t.named(hello.ServerName)
	if len(all) > 1 {
		for _, c := range all {
			if hello.SupportsCertificate(c) == nil {
				return c, nil
			}
		}
	}
	return all[0], nil
}

// table finds certificates by name.
type table struct {
	names map[string][]*tls.Certificate // *.example.org is there as .example.org
	first []*tls.Certificate            // those with the names of the first one
}

func newTable(pairs []pair) *table {
	t := &table{names: make(map[string][]*tls.Certificate)}
	for i := range pairs {
		c := pairs[i].cert
		if c == nil {
			continue
		}
		for _, name := range c.Leaf.DNSNames {
			name = strings.TrimPrefix(strings.ToLower(name), "*")
			t.names[name] = append(t.names[name], c)
		}
		if t.first == nil {
			t.first = []*tls.Certificate{c}
		} else if fmt.Sprint(t.first[0].Leaf.DNSNames) == fmt.Sprint(c.Leaf.DNSNames) {
			t.first = append(t.first, c)
		}
	}
	return t
}

func (t *table) named(name string) []*tls.Certificate {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if c := t.names[name]; c != nil {
		return c
	}
	if i := strings.IndexByte(name, '.'); i > 0 {
		if c := t.names[name[i:]]; c != nil {
			return c
		}
	}
	return t.first
}
