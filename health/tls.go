package health

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
)

// handshaker makes the TLS handshakes of a probe.
type handshaker struct {
	cfg    Config
	addr   netip.AddrPort
	protos []string
	made   *tls.Config // at the first use; again while that fails
}

// shake makes a handshake on conn. When it fails the connection is nil, and the result says why.
func (h *handshaker) shake(ctx context.Context, conn net.Conn) (net.Conn, result) {
	cfg, err := h.config()
	if err != nil {
		// Not the backend's fault; the bundle may be put right at any time.
		return nil, result{reason: printable(err.Error()), local: true}
	}
	if h.cfg.TLSCertFile != "" {
		own, err := tls.LoadX509KeyPair(h.cfg.TLSCertFile, cmp.Or(h.cfg.TLSKeyFile, h.cfg.TLSCertFile))
		if err != nil {
			return nil, result{reason: printable("certificate for the backend: " + err.Error()), local: true}
		}
		cfg = cfg.Clone()
		cfg.Certificates = []tls.Certificate{own}
	}
	c := tls.Client(conn, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, failure("tls handshake", h.cfg.Timeout, err)
	}
	return c, result{}
}

// config returns the configuration of a handshake; an unreadable CA file is tried again the next time.
func (h *handshaker) config() (*tls.Config, error) {
	if h.made != nil {
		return h.made, nil
	}
	cfg := &tls.Config{
		ServerName:         h.serverName(),
		InsecureSkipVerify: h.cfg.TLSInsecure, //nolint:gosec // the operator's choice, off by default
		MinVersion:         tls.VersionTLS12,
		NextProtos:         h.protos,
	}
	if h.cfg.TLSCAFile != "" && !h.cfg.TLSInsecure {
		pool, err := readCA(h.cfg.TLSCAFile)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = pool
	}
	h.made = cfg
	return cfg, nil
}

// serverName is what the certificate is checked against: as configured, else the host without its port, else the
// address.
func (h *handshaker) serverName() string {
	host := h.cfg.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return cmp.Or(h.cfg.TLSServerName, strings.Trim(host, "[]"), h.addr.Addr().WithZone("").String())
}
