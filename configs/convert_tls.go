package configs

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/certs"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/sni"
)

func (f *fileListenerTLS) fill(r *report, n ast.Node, at place) {
	if _, ok := n.(ast.ScalarNode); !ok {
		mapping(r, n, at, f)
		return
	}
	f.block = block{place: at, set: true}
	f.word.fill(r, n, at)
}

// listenerTLS reads how a listener meets TLS.
func (c *checker) listenerTLS(f *fileListener, l *proxy.ListenerConfig) {
	t := &f.TLS
	if l.H2C = c.flag(f.H2C); l.H2C && t.set {
		c.bad(f.H2C.place, "is HTTP/2 without TLS; with tls, clients that can speak HTTP/2 do so by ALPN")
	}
	l.Passthrough = t.word.ok() && t.word.text == "passthrough"
	switch {
	case !t.set || t.bad || t.word.bad:
	case l.Passthrough:
		if l.Protocol == proxy.HTTP {
			c.bad(t.place, "passthrough is for protocol: tcp; an http listener reads requests, which it cannot without certificates")
		}
		c.serverNames(&f.SNI, l)
		if len(f.SNI.items) == 0 && !f.SNI.bad {
			c.bad(t.place, "passthrough chooses a pool by the name that a client asks for; write sni, a list of names and pools")
		}
		return
	case t.word.set:
		c.bad(t.place, "%s is not allowed; write passthrough, or a mapping with certificates", show(t.word.text))
	default:
		l.TLS = c.certificates(t)
	}
	if f.SNI.set {
		c.bad(f.SNI.place, "is for tls: passthrough; certificates are chosen by their own names")
	}
}

func (c *checker) certificates(t *fileListenerTLS) *proxy.TLS {
	cfg := &proxy.TLS{
		ClientCAFile: c.file(t.ClientCAFile),
		OnlyTLS13:    choice(c, t.MinVersion, "1.2", "1.2", "1.3") == "1.3",
	}
	c.need(t.block, "certificates", t.Certificates.set, "a list of certificates, each with cert_file and key_file")
	if t.Certificates.set && !t.Certificates.bad && len(t.Certificates.items) == 0 {
		c.bad(t.Certificates.place, "is empty; write at least one certificate")
	}
	for i := range t.Certificates.items {
		f := &t.Certificates.items[i]
		c.need(f.block, "cert_file", f.CertFile.set, "the PEM file of the certificate with its chain")
		files := certs.Files{Cert: c.path(f.CertFile, ""), Key: c.path(f.KeyFile, "")}
		if files.Key == "" {
			files.Key = files.Cert
		}
		cfg.Certificates = append(cfg.Certificates, files)
		if c.host.Certificate != nil && files.Cert != "" {
			if err := c.host.Certificate(files.Cert, files.Key); err != nil {
				c.fact(f.CertFile.place, "%v", err)
			}
		}
	}
	return cfg
}

// file reads the path of a file that should be there.
func (c *checker) file(s scalar) string {
	p := c.path(s, "")
	if p != "" && c.host.File != nil {
		if err := c.host.File(p); err != nil {
			c.fact(s.place, "%v", err)
		}
	}
	return p
}

// serverNames reads which pool is behind which name.
func (c *checker) serverNames(bs *blocks[fileName], l *proxy.ListenerConfig) {
	seen := make(map[string]bool)
	for i := range bs.items {
		f := &bs.items[i]
		if f.bad {
			continue
		}
		n := proxy.NamedPool{Pool: c.name(f.Pool)}
		if c.need(f.block, "pool", f.Pool.set, "the name of a pool below pools"); n.Pool != "" {
			c.used = append(c.used, located[string]{f.Pool.place, n.Pool})
			c.bytesOnly(l.Protocol, f.Pool)
		}
		if c.need(f.block, "names", f.Names.set, `the names of servers, such as [www.example.org, "*.example.net"]`); f.Names.set && !f.Names.bad && len(f.Names.items) == 0 {
			c.bad(f.Names.place, "is empty; write at least one name")
		}
		for _, s := range f.Names.items {
			name, ok := c.serverName(s)
			switch {
			case !ok:
			case seen[name]:
				c.bad(s.place, "%s is listed twice; each name leads to one pool", name)
			default:
				seen[name] = true
				n.Names = append(n.Names, name)
			}
		}
		l.Names = append(l.Names, n)
	}
}

// serverName reads a name that a client can ask for by TLS, or *. before one.
func (c *checker) serverName(s scalar) (string, bool) {
	if !s.ok() {
		return "", false
	}
	base, star := strings.CutPrefix(s.text, "*.")
	name, ok := sni.Canonical(base)
	if !ok {
		c.bad(s.place, "%s is not the name of a server; write a host name, such as www.example.org, or *.example.org for all names with one label more", show(s.text))
	}
	if star {
		name = "*." + name
	}
	return name, ok
}

// poolTLS reads how the backends of a pool are spoken to.
func (c *checker) poolTLS(f *filePoolTLS) *pool.TLS {
	if !f.set || f.bad {
		return nil
	}
	cfg := &pool.TLS{
		CAFile: c.file(f.CAFile), Insecure: c.flag(f.Insecure),
		CertFile: c.path(f.CertFile, ""), KeyFile: c.path(f.KeyFile, ""),
	}
	cfg.ServerName = c.tlsName(f.ServerName)
	if cfg.KeyFile == "" {
		cfg.KeyFile = cfg.CertFile
	}
	switch {
	case cfg.CertFile == "" && f.KeyFile.set:
		c.bad(f.KeyFile.place, "is the key of a certificate; write cert_file, too")
	case cfg.CertFile != "" && c.host.Certificate != nil:
		if err := c.host.Certificate(cfg.CertFile, cfg.KeyFile); err != nil {
			c.fact(f.CertFile.place, "%v", err)
		}
	}
	switch {
	case cfg.Insecure && cfg.CAFile != "":
		c.bad(f.Insecure.place, "true contradicts ca_file; keep one of the two")
	case cfg.Insecure:
		c.warn(f.Insecure.place, "certificates are not verified; whoever sits between this node and the backends can read and change everything")
	}
	return cfg
}
