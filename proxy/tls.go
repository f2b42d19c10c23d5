package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy/certs"
	"github.com/tandem-lb/tandem/proxy/tickets"
)

// TLS is what clients of a listener are met with. Its files are read again when they change.
type TLS struct {
	// Certificates are chosen by the name that a client asks for; the first is that of all other clients. At least one.
	Certificates []certs.Files
	// ClientCAFile has the authorities (PEM) of which each client must show a certificate; empty: clients need none.
	ClientCAFile string
	// OnlyTLS13 refuses clients that know no later version than TLS 1.2.
	OnlyTLS13 bool
}

// Mozilla's "intermediate" configuration, version 5.8, as far as crypto/tls has it (ssl-config.mozilla.org). The order
// is that of crypto/tls, which prefers what the hardware is fast at.
func baseTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384},
		// A record for each segment costs a system call for each.
		DynamicRecordSizingDisabled: true,
	}
}

// termination is the TLS of one listener. Its methods are for one goroutine after the other; config is for all.
type termination struct {
	cfg     TLS
	name    string
	http    bool
	key     []byte
	log     hclog.Logger
	store   *certs.Store
	clients *x509.CertPool
	sum     [32]byte // of the file of clients
	watch   certs.Watch
	rotated time.Time // the period of the ticket keys
	config  atomic.Pointer[tls.Config]
}

func newTermination(cfg ListenerConfig, key []byte, log hclog.Logger) *termination {
	return &termination{
		cfg: *cfg.TLS, name: cfg.Name, http: cfg.Protocol == HTTP, key: key, log: log,
		store: certs.NewStore(cfg.TLS.Certificates, log),
	}
}

// load reads the files, before the listener opens. Without a certificate, or not knowing which clients to let in, it is better closed.
func (t *termination) load(now time.Time) error {
	if t.config.Load() != nil {
		return nil
	}
	if err := t.store.Load(now); err != nil {
		return err
	}
	if file := t.cfg.ClientCAFile; file != "" {
		var err error
		t.watch = certs.NewWatch(file)
		if t.clients, t.sum, err = certs.Authorities(file); err != nil {
			return err
		}
	}
	t.publish(now)
	return nil
}

// publish makes the configuration for the handshakes from now on.
func (t *termination) publish(now time.Time) {
	cfg := baseTLS()
	cfg.GetCertificate = t.store.Get
	if t.cfg.OnlyTLS13 {
		cfg.MinVersion = tls.VersionTLS13
	}
	if t.http {
		cfg.NextProtos = protocols()
	}
	if t.clients != nil {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, t.clients
	}
	t.rotate(cfg, now)
	t.config.Store(cfg)
}

// rotate gives a configuration the ticket keys of the time. A ticket says that its client was let in, so it must not count where other
// clients are let in, neither at another listener nor after the authorities have changed.
func (t *termination) rotate(cfg *tls.Config, now time.Time) {
	t.rotated = now.Truncate(tickets.Period)
	if t.key != nil {
		cfg.SetSessionTicketKeys(tickets.Keys(t.key, t.name+"\x00"+hex.EncodeToString(t.sum[:]), now))
	}
}

// look follows changes of the files, and the time.
func (t *termination) look(now time.Time) {
	if t.config.Load() == nil {
		return // the listener is still waiting for its files
	}
	t.store.Look(now)
	if t.watch.Changed() {
		clients, sum, err := certs.Authorities(t.cfg.ClientCAFile)
		if err != nil {
			t.log.Error("the new file of client authorities is bad; the old one stays in use", "err", err)
		} else {
			t.log.Info("client authorities loaded", "file", t.cfg.ClientCAFile)
			t.clients, t.sum = clients, sum
			t.publish(now)
		}
	}
	if !now.Truncate(tickets.Period).Equal(t.rotated) {
		t.rotate(t.config.Load(), now)
	}
}

// lookEvery is how often files are looked at.
const lookEvery = time.Second

// watchFiles follows changes of certificates until ctx is done.
func (p *Proxy) watchFiles(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			p.lookAtFiles(now)
		case <-ctx.Done():
			return
		}
	}
}

func (p *Proxy) lookAtFiles(now time.Time) {
	p.looking.Lock()
	defer p.looking.Unlock()
	for _, l := range p.listeners() {
		if l.tls != nil {
			l.tls.look(now)
		}
	}
	for _, o := range p.outwards() {
		o.look(now)
	}
}

// handshake makes TLS's, if there is one to make. It reports whether the connection can go on.
func (c *client) handshake() bool {
	if c.in.secure == nil || c.served > 0 {
		return true
	}
	name, ok := c.listener.handshake(c.in.secure, c.peer)
	c.name = name
	return ok
}
