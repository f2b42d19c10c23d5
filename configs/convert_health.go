package configs

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/health"
)

func (c *checker) health(f *fileHealth) health.Config {
	cfg := health.Config{Type: choice(c, f.Type, health.TCP, health.TCP, health.HTTP, health.None)}
	if cfg.Type == health.None {
		for _, other := range fields(f) {
			if at, set := setAt(other); set && other.key != "type" {
				c.bad(at, "is for a pool that is probed; this one has type: none")
			}
		}
		return cfg
	}
	cfg.Interval = c.duration(f.Interval, span{min: 50 * time.Millisecond, max: time.Hour, def: time.Second})
	// The bounds of the other two follow from the interval.
	fast := min(cfg.Interval, max(cfg.Interval/4, 100*time.Millisecond))
	cfg.FastInterval = c.duration(f.FastInterval, span{min: 10 * time.Millisecond, max: cfg.Interval, def: fast})
	cfg.Timeout = c.duration(f.Timeout, span{min: 10 * time.Millisecond, max: cfg.Interval, def: min(cfg.Interval, 500*time.Millisecond)})
	cfg.Rise = c.number(f.Rise, 100, 2)
	cfg.Fall = c.number(f.Fall, 100, 3)
	cfg.Port = uint16(c.number(f.Port, 65535, 0))
	if cfg.Type == health.HTTP {
		c.healthHTTP(f, &cfg)
		return cfg
	}
	if f.Type.bad || f.Type.set && f.Type.text != string(health.TCP) {
		return cfg // the type is wrong: who knows what the rest was for
	}
	for _, other := range fields(f) {
		switch other.key {
		case "method", "path", "host", "expect_status", "expect_body", "tls", "tls_server_name", "tls_insecure", "tls_ca_file":
			if at, set := setAt(other); set {
				c.bad(at, "is for type: http; this pool is probed by tcp, the default")
			}
		}
	}
	return cfg
}

// setAt is where a key of a mapping stands, if it is there.
func setAt(f field) (place, bool) {
	switch t := f.into.(type) {
	case *scalar:
		return t.place, t.set
	case *list:
		return t.place, t.set
	}
	return place{}, false
}

func (c *checker) healthHTTP(f *fileHealth, cfg *health.Config) {
	cfg.Method = choice(c, f.Method, "GET", "GET", "HEAD", "OPTIONS", "POST")
	cfg.Path = c.urlPath(f.Path)
	cfg.Host = c.httpHost(f.Host)
	cfg.Expect = c.statuses(&f.ExpectStatus)
	if f.ExpectBody.ok() {
		cfg.ExpectBody = f.ExpectBody.text
		switch {
		case cfg.ExpectBody == "":
			c.bad(f.ExpectBody.place, "is empty; write what the body contains, or leave the key out")
		case len(cfg.ExpectBody) > 4096:
			c.bad(f.ExpectBody.place, "has %d bytes; allowed: at most 4096", len(cfg.ExpectBody))
		case cfg.Method == "HEAD":
			c.bad(f.ExpectBody.place, "contradicts method: HEAD, whose answers have no body")
		}
	}
	c.healthTLS(f, cfg)
}

func (c *checker) healthTLS(f *fileHealth, cfg *health.Config) {
	cfg.TLS = c.flag(f.TLS)
	if !cfg.TLS {
		for _, s := range []scalar{f.TLSServerName, f.TLSInsecure, f.TLSCAFile} {
			if s.set && !f.TLS.bad {
				c.bad(s.place, "is for probes by TLS; write tls: true, too")
			}
		}
		return
	}
	cfg.TLSInsecure = c.flag(f.TLSInsecure)
	cfg.TLSCAFile = c.path(f.TLSCAFile, "")
	cfg.TLSServerName = hostOnly(cfg.Host)
	if f.TLSServerName.ok() {
		cfg.TLSServerName = f.TLSServerName.text
		if !hostChars(cfg.TLSServerName) || strings.Contains(cfg.TLSServerName, ":") {
			c.bad(f.TLSServerName.place, "%s is not a server name; write a host name, such as www.example.org", show(f.TLSServerName.text))
		}
	}
	switch {
	case cfg.TLSInsecure && cfg.TLSCAFile != "":
		c.bad(f.TLSInsecure.place, "true contradicts tls_ca_file; keep one of the two")
	case cfg.TLSInsecure:
		c.warn(f.TLSInsecure.place, "certificates are not verified; whoever answers at the backend's address counts as up")
	case cfg.TLSCAFile != "" && c.host.File != nil:
		if err := c.host.File(cfg.TLSCAFile); err != nil {
			c.fact(f.TLSCAFile.place, "%v", err)
		}
	}
}

func (c *checker) urlPath(s scalar) string {
	const def = "/"
	if !s.ok() {
		return def
	}
	switch {
	case !strings.HasPrefix(s.text, "/"):
		c.bad(s.place, "%s does not begin with a slash; write /%s", show(s.text), strings.TrimLeft(s.text, "."))
	case len(s.text) > 2048:
		c.bad(s.place, "has %d bytes; allowed: at most 2048", len(s.text))
	case strings.ContainsFunc(s.text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }):
		c.bad(s.place, "%s has characters that a request cannot have (blanks, #, control characters or letters beyond ASCII); write them as %%20 and so on", show(s.text))
	default:
		return s.text
	}
	return def
}

func (c *checker) httpHost(s scalar) string {
	if !s.ok() {
		return ""
	}
	if !hostChars(s.text) {
		c.bad(s.place, "%s is not a host; write what the Host header shall say, such as www.example.org or www.example.org:8080", show(s.text))
		return ""
	}
	return s.text
}

// hostChars says whether a string can stand in a Host header: letters, digits, dots, dashes, underscores, a port, IPv6 in brackets.
func hostChars(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	host, port, whole := splitPort(s)
	if whole && (!isDigits(port) || len(port) > 5 || host == "") {
		return false
	}
	if strings.ContainsAny(s, "[]:") && !(whole && !strings.Contains(host, ":")) {
		a, err := netip.ParseAddr(host)
		return err == nil && a.Is6() && a.Zone() == "" && strings.HasPrefix(s, "[")
	}
	return strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == ""
}

// hostOnly is a Host header's value without its port.
func hostOnly(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return strings.Trim(s, "[]")
}

// statuses reads 200, "200-399" or a list of them.
func (c *checker) statuses(l *list) []health.StatusRange {
	def := []health.StatusRange{{From: 200, To: 399}}
	if !l.set || l.bad {
		return def
	}
	const allowed = `allowed: 100..599, as in 200, "200-399" or [200, 204]`
	if len(l.items) == 0 || len(l.items) > 32 {
		c.bad(l.place, "has %d entries; allowed: 1..32", len(l.items))
		return def
	}
	var rs []health.StatusRange
	for _, s := range l.items {
		if !s.ok() {
			continue
		}
		from, to, ranged := strings.Cut(s.text, "-")
		from, to = strings.TrimSpace(from), strings.TrimSpace(to)
		if !ranged {
			to = from
		}
		r := health.StatusRange{From: atoi(from), To: atoi(to)}
		switch {
		case !isDigits(from) || !isDigits(to):
			hint := ""
			if len(s.text) == 3 && strings.HasSuffix(strings.ToLower(s.text), "xx") && s.text[0] >= '1' && s.text[0] <= '5' {
				hint = fmt.Sprintf(` (did you mean "%c00-%c99"?)`, s.text[0], s.text[0])
			}
			c.bad(s.place, "%s is not a status%s; %s", show(s.text), hint, allowed)
		case r.From < 100 || r.From > 599 || r.To < 100 || r.To > 599:
			c.bad(s.place, "%s is out of range; %s", show(s.text), allowed)
		case r.From > r.To:
			c.bad(s.place, `%s is backwards; write "%d-%d"`, show(s.text), r.To, r.From)
		default:
			rs = append(rs, r)
		}
	}
	if len(rs) == 0 {
		return def
	}
	return rs
}
