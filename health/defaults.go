package health

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultInterval = time.Second
	defaultTimeout  = 500 * time.Millisecond
	// A program costs more than a connection.
	defaultExecInterval = 5 * time.Second
	defaultExecTimeout  = 2 * time.Second
	defaultRise         = 2
	defaultFall         = 3

	// minFast keeps the default FastInterval from becoming a flood where Interval is short.
	minFast = 100 * time.Millisecond
)

// WithDefaults returns a copy in which every zero value is replaced by what it means. It bounds Timeout and
// FastInterval by Interval, and shares no memory that it changes.
func (c Config) WithDefaults() Config {
	c.Type = cmp.Or(c.Type, TCP)
	c.TLS = c.TLS || c.Type == HTTPS || c.Type == TLS
	interval, timeout := defaultInterval, defaultTimeout
	if c.Type == Exec {
		interval, timeout = defaultExecInterval, defaultExecTimeout
	}
	if c.Interval <= 0 {
		c.Interval = interval
	}
	if c.FastInterval <= 0 {
		c.FastInterval = max(c.Interval/4, minFast)
	}
	c.FastInterval = min(c.FastInterval, c.Interval)
	if c.Timeout <= 0 {
		c.Timeout = timeout
	}
	c.Timeout = min(c.Timeout, c.Interval)
	if c.Rise <= 0 {
		c.Rise = defaultRise
	}
	if c.Fall <= 0 {
		c.Fall = defaultFall
	}
	c.Method = cmp.Or(c.Method, http.MethodGet)
	c.Path = cmp.Or(c.Path, "/")
	if len(c.Expect) == 0 {
		c.Expect = []StatusRange{{200, 399}}
	}
	return c
}

// Validate returns everything that is wrong with the configuration, joined; nil when probes can be made with it.
// It reads no files.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch c.Type {
	case "", TCP, TLS, HTTP, HTTPS, GRPC, Exec, None:
	default:
		bad("type %q: want tcp, tls, http, https, grpc, exec or none", c.Type)
	}
	if (c.Type == Exec) != (len(c.Command) > 0) {
		bad("a command is for type exec, which needs one")
	}
	if len(c.Receive) > maxExpect {
		bad("expected answer of %d bytes: at most %d bytes are looked at", len(c.Receive), maxExpect)
	}
	if c.Interval < 0 || c.FastInterval < 0 || c.Timeout < 0 || c.Rise < 0 || c.Fall < 0 {
		bad("interval, fast_interval, timeout, rise and fall must not be negative")
	}
	if _, err := parsePath(c.WithDefaults().Path); err != nil {
		errs = append(errs, err)
	}
	if !isToken(c.WithDefaults().Method) {
		bad("method %q: want an HTTP method such as GET or HEAD", c.Method)
	}
	if strings.EqualFold(c.Method, http.MethodConnect) {
		bad("method CONNECT cannot be probed with: want GET, HEAD, OPTIONS or POST")
	}
	if c.ExpectBody != "" && strings.EqualFold(c.Method, http.MethodHead) {
		bad("the answer to HEAD has no body to look into: use GET, or leave the expected body out")
	}
	if len(c.ExpectBody) > maxBody {
		bad("expected body of %d bytes: at most %d bytes are looked at", len(c.ExpectBody), maxBody)
	}
	if strings.ContainsFunc(c.Host, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' }) {
		bad("host %q: want a host name, with :port if need be", c.Host)
	}
	for _, r := range c.Expect {
		if r.From < 100 || r.To > 599 || r.From > r.To {
			bad("expected status %s: want 100 to 599, the smaller first", r)
		}
	}
	return errors.Join(errs...)
}

// String writes the range as the configuration file does: "200" or "200-399".
func (r StatusRange) String() string {
	if r.From == r.To {
		return fmt.Sprint(r.From)
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

func (r StatusRange) contains(status int) bool { return r.From <= status && status <= r.To }

// parsePath accepts what may stand in a request line: an absolute path, with a query if need be.
func parsePath(path string) (*url.URL, error) {
	u, err := url.ParseRequestURI(path)
	if err != nil || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return nil, fmt.Errorf("path %q: want an absolute path such as /healthz, with ?query if need be", path)
	}
	return u, nil
}

// isToken holds for RFC 9110's token, as far as methods go.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_'
	})
}
