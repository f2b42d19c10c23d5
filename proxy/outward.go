package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/certs"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/sni"
)

// resumable is how many sessions with the backends of a pool are remembered for resuming.
const resumable = 256

// errFiles means that a file of this host is bad, which is no backend's fault.
var errFiles = errors.New("files for TLS to the backends are bad")

// outward is the TLS towards the backends of one pool.
type outward struct {
	cfg   pool.TLS
	alpn  []string // what is offered
	log   hclog.Logger
	watch certs.Watch
	once  sync.Once
	// config is nil, and err says why, until the files could be read.
	config atomic.Pointer[tls.Config]
	err    atomic.Pointer[error]
	bad    string // as certs.Store: why the files that are there now are not used
}

// newOutward returns the TLS towards a pool. Files that cannot be read make its backends unreachable until they can.
func newOutward(cfg pool.TLS, alpn []string, log hclog.Logger) *outward {
	return &outward{cfg: cfg, alpn: alpn, log: log}
}

func (o *outward) files() []string {
	var fs []string
	for _, f := range []string{o.cfg.CAFile, o.cfg.CertFile, o.cfg.KeyFile} {
		if f != "" {
			fs = append(fs, f)
		}
	}
	return fs
}

// load reads the files.
func (o *outward) load(now time.Time) error {
	cfg := baseTLS()
	cfg.NextProtos = o.alpn
	cfg.ServerName, cfg.InsecureSkipVerify = o.cfg.ServerName, o.cfg.Insecure //nolint:gosec // an operator asked for it, and is warned
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(resumable)
	if o.cfg.CAFile != "" {
		var err error
		if cfg.RootCAs, _, err = certs.Authorities(o.cfg.CAFile); err != nil {
			return err
		}
	}
	if o.cfg.CertFile != "" {
		cert, err := certs.Load(certs.Files{Cert: o.cfg.CertFile, Key: o.cfg.KeyFile}, now)
		if err != nil {
			return err
		}
		cfg.Certificates = []tls.Certificate{*cert}
	}
	o.config.Store(cfg)
	return nil
}

// look reads files that have changed.
func (o *outward) look(now time.Time) {
	o.once.Do(func() { o.begin(now) })
	if !o.watch.Changed() && o.bad == "" {
		return
	}
	if err := o.load(now); err != nil {
		if o.bad != err.Error() {
			o.log.Error("the new files for TLS to the backends are bad; the old ones stay in use", "err", err)
		}
		o.bad = err.Error()
		return
	}
	o.bad = ""
	o.log.Info("files for TLS to the backends loaded")
}

func (o *outward) begin(now time.Time) {
	o.watch = certs.NewWatch(o.files()...)
	if err := o.load(now); err != nil {
		o.err.Store(&err)
		o.bad = err.Error()
		o.log.Error("no backend can be reached until these files are mended", "err", err)
	}
}

// open makes the handshake on a new connection to a backend, which it takes over.
func (o *outward) open(c net.Conn, u *upstream, until time.Time) (net.Conn, error) {
	o.once.Do(func() { o.begin(time.Now()) })
	cfg := o.config.Load()
	if cfg == nil {
		_ = c.Close()
		return nil, fmt.Errorf("%w: %w", errFiles, *o.err.Load())
	}
	if cfg.ServerName == "" { // the address stands for a name
		cfg = cfg.Clone()
		if cfg.ServerName, _, _ = net.SplitHostPort(u.backend.Host()); cfg.ServerName == "" {
			cfg.ServerName = u.backend.Address().Addr().String()
		}
	}
	s := clientConn(c, cfg)
	err := s.shake(until)
	if u.distrusted.Swap(err != nil) != (err != nil) {
		if err != nil {
			o.log.Warn("handshake with a backend failed", "backend", u.backend.Name(), "err", err)
		} else {
			o.log.Info("handshake with a backend succeeded again", "backend", u.backend.Name())
		}
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return s, nil
}

// handshake makes that of a client. It returns the name that the client asked for, in lower case.
func (l *listener) handshake(s *secureConn, peer netip.AddrPort) (name string, ok bool) {
	if err := s.shake(time.Now().Add(l.cfg.HeaderTimeout)); err != nil {
		l.log.Debug("handshake failed", "addr", peer, "err", err)
		return "", false
	}
	name, _ = sni.Canonical(s.ConnectionState().ServerName)
	return name, true
}
