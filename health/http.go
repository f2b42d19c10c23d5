package health

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"os"
	"strings"
)

const (
	maxHeader  = 64 << 10 // bytes of status line and header that are read of an answer
	maxBody    = 64 << 10 // bytes of body that ExpectBody is looked for in
	maxWire    = 1 << 20  // bytes of body on the wire: more than maxBody because of chunk headers
	maxInterim = 5        // 1xx answers before the final one
	maxCAFile  = 4 << 20  // bytes of a CA bundle
)

// httpProbe asks a backend one HTTP/1.1 request on a connection of its own. It follows no redirects, knows no
// proxies and needs no goroutine, which is why it is not an http.Client: one connection, one absolute deadline.
type httpProbe struct {
	addr netip.AddrPort
	cfg  Config
	tls  *handshaker // nil: in plain
}

// exchange sends the request on conn, whose deadline is set, and judges the answer. It returns what is left to be
// read of the answer, nil if there is nothing worth reading.
func (h *httpProbe) exchange(ctx context.Context, conn net.Conn) (result, io.Reader) {
	phase := func(name string, err error) (result, io.Reader) {
		return failure(name, h.cfg.Timeout, err), nil
	}
	req, err := h.request()
	if err != nil {
		return phase("request", err)
	}
	if h.tls != nil {
		c, r := h.tls.shake(ctx, conn)
		if c == nil {
			return r, nil
		}
		conn = c
	}
	// A backend may answer without reading all of a request: the answer counts, the error only without one.
	sendErr := req.Write(conn)
	limit := &io.LimitedReader{R: conn, N: maxHeader}
	resp, err := readResponse(bufio.NewReader(limit), req) //nolint:bodyclose // the connection is the caller's, who reads the rest and closes it
	switch {
	case err != nil && limit.N <= 0:
		return failed(fmt.Sprintf("answer: header larger than %d KiB", maxHeader>>10)), nil
	case err != nil:
		return phase("answer", cmp.Or(sendErr, hint(err)))
	}
	limit.N = maxWire
	if !h.expected(resp.StatusCode) {
		return failed(fmt.Sprintf("status %d, want %s", resp.StatusCode, ranges(h.cfg.Expect))), resp.Body
	}
	if h.cfg.ExpectBody == "" {
		return passed(fmt.Sprintf("status %d", resp.StatusCode)), resp.Body
	}
	found, err := contains(resp.Body, h.cfg.ExpectBody)
	switch {
	case found:
		return passed(fmt.Sprintf("status %d, body contains %q", resp.StatusCode, h.cfg.ExpectBody)), resp.Body
	case err != nil:
		return phase("body", err)
	}
	return failed(fmt.Sprintf("status %d, body does not contain %q", resp.StatusCode, h.cfg.ExpectBody)), resp.Body
}

func (h *httpProbe) request() (*http.Request, error) {
	if err := h.cfg.Validate(); err != nil { // the parser of the file let it through: say so instead of asking something else
		return nil, err
	}
	u, err := parsePath(h.cfg.Path)
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host = "http", h.addr.String()
	req, err := http.NewRequest(h.cfg.Method, u.String(), nil) //nolint:noctx // written by hand, under conn's deadline
	if err != nil {
		return nil, err
	}
	req.Host = h.cfg.Host // empty: the address, as the URL says
	req.Close = true
	req.Header.Set("User-Agent", "tandem-health")
	req.Header.Set("Accept", "*/*")
	for _, f := range h.cfg.Headers {
		req.Header[textproto.CanonicalMIMEHeaderKey(f.Name)] = []string{f.Value}
	}
	return req, nil
}

func readCA(path string) (*x509.CertPool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxCAFile))
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s: no PEM certificate in it", path)
	}
	return pool, nil
}

func (h *httpProbe) expected(status int) bool {
	for _, r := range h.cfg.Expect {
		if r.contains(status) {
			return true
		}
	}
	return false
}

func ranges(rs []StatusRange) string {
	var b strings.Builder
	for i, r := range rs {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// readResponse reads the header of the final answer; interim ones are skipped.
func readResponse(r *bufio.Reader, req *http.Request) (*http.Response, error) {
	for range maxInterim {
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
	return nil, fmt.Errorf("more than %d interim (1xx) answers", maxInterim)
}

// hint says what an operator should look at, where a malformed answer tells.
func hint(err error) error {
	// A TLS alert record, read as a status line: 0x15 0x03.
	if strings.Contains(err.Error(), `"\x15\x03`) {
		return errors.New("the backend speaks TLS: set tls")
	}
	return err
}

// contains looks for want in the first maxBody bytes of r, and stops reading when it is found.
func contains(r io.Reader, want string) (bool, error) {
	buf := make([]byte, 0, 4<<10)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), maxBody)])
		from := max(0, len(buf)-len(want)+1)
		buf = buf[:len(buf)+n]
		switch {
		case bytes.Contains(buf[from:], []byte(want)):
			return true, nil
		case errors.Is(err, io.EOF) || len(buf) >= maxBody:
			return false, nil
		case err != nil:
			return false, err
		}
	}
}
