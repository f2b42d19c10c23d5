package health

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
)

// talkProbe judges a backend that speaks no HTTP: it is connected to, by TLS if so configured, is sent something, and answers as expected.
type talkProbe struct {
	cfg Config
	tls *handshaker // nil: in plain
}

// maxExpect is how many bytes of an answer are looked at.
const maxExpect = 4 << 10

func (t *talkProbe) exchange(ctx context.Context, conn net.Conn) (result, io.Reader) {
	ending := "connected"
	if t.tls != nil {
		c, r := t.tls.shake(ctx, conn)
		if c == nil {
			return r, nil
		}
		conn, ending = c, "tls handshake"
		if s, ok := c.(*tls.Conn); ok {
			ending += ", " + tls.VersionName(s.ConnectionState().Version)
		}
	}
	if t.cfg.Send != "" {
		if _, err := io.WriteString(conn, t.cfg.Send); err != nil {
			return failure("send", t.cfg.Timeout, err), nil
		}
	}
	if t.cfg.Receive == "" {
		return passed(ending), nil
	}
	got, err := readUntil(conn, t.cfg.Receive)
	switch {
	case bytes.Contains(got, []byte(t.cfg.Receive)):
		return passed(fmt.Sprintf("answer contains %q", t.cfg.Receive)), conn
	case err != nil && len(got) == 0:
		return failure("answer", t.cfg.Timeout, err), nil
	}
	return failed(fmt.Sprintf("answer %q, want one that contains %q", beginning(got), t.cfg.Receive)), conn
}

// readUntil reads until want was read, maxExpect bytes were, or no more comes.
func readUntil(r io.Reader, want string) ([]byte, error) {
	buf := make([]byte, 0, maxExpect)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil || len(buf) == cap(buf) || bytes.Contains(buf, []byte(want)) {
			return buf, err
		}
	}
}

// beginning is what of an answer is told.
func beginning(b []byte) string {
	const most = 64
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return strings.TrimRight(string(b), "\r\n")
}
