package configs

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/health"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/route"
	"github.com/tandem-lb/tandem/proxy/sni"
)

// health reads how the backends of a pool are probed. secure is how clients' connections reach them; nil: in plain.
func (c *checker) health(f *fileHealth, secure *pool.TLS) health.Config {
	cfg := health.Config{Type: choice(c, f.Type, health.TCP, health.TCP, health.HTTP, health.HTTPS, health.GRPC, health.TLS, health.Exec, health.None)}
	if !f.Type.bad && (!f.Type.set || f.Type.text == string(cfg.Type)) { // else the type is wrong: who knows what the rest was for
		c.probeKeys(f, cfg.Type)
	}
	if cfg.Type == health.None {
		return cfg
	}
	def := cfg.WithDefaults()
	cfg.Interval = c.duration(f.Interval, span{min: 50 * time.Millisecond, max: time.Hour, def: def.Interval})
	// The bounds of the other two follow from the interval.
	def = cfg.WithDefaults()
	cfg.FastInterval = c.duration(f.FastInterval, span{min: 10 * time.Millisecond, max: cfg.Interval, def: def.FastInterval})
	cfg.Timeout = c.duration(f.Timeout, span{min: 10 * time.Millisecond, max: cfg.Interval, def: def.Timeout})
	cfg.Rise = c.number(f.Rise, 100, def.Rise)
	cfg.Fall = c.number(f.Fall, 100, def.Fall)
	cfg.Port = uint16(c.number(f.Port, 65535, 0))
	switch cfg.Type {
	case health.HTTP, health.HTTPS:
		c.healthHTTP(f, &cfg)
	case health.GRPC:
		cfg.Host = c.httpHost(f.Host)
		cfg.Service = c.spoken(f.Service)
	case health.TCP, health.TLS:
		cfg.Send, cfg.Receive = c.spoken(f.Send), c.spoken(f.Expect)
	case health.Exec:
		c.need(f.block, "command", f.Command.set, "the program and its arguments, such as [/usr/local/bin/check-backend, --fast]")
		cfg.Command, cfg.RunAs = c.argv(&f.Command), c.user(f.RunAs)
	case health.None:
	}
	c.healthTLS(f, &cfg, secure)
	return cfg
}

// probeKeys refuses keys that mean nothing for a type of probe.
func (c *checker) probeKeys(f *fileHealth, t health.Type) {
	for _, other := range fields(f) {
		at, set := setAt(other)
		types := probesWith(other.key)
		switch {
		case !set || other.key == "type":
		case t == health.None:
			c.bad(at, "is for a pool that is probed; this one has type: none")
		case other.key == "tls" && (t == health.HTTPS || t == health.TLS):
			c.bad(at, "is said by type: %s already; leave it out", t)
		case other.key == "tls" && t == health.TCP:
			c.bad(at, "is for type: http or grpc; write type: tls for a handshake alone")
		case types != nil && !slices.Contains(types, t):
			def := ""
			if t == health.TCP {
				def = ", the default"
			}
			c.bad(at, "is for type: %s; this pool is probed by %s%s", alternatives(types), t, def)
		}
	}
}

// probesWith says which types of probe a key is for; nil: all.
func probesWith(key string) []health.Type {
	switch key {
	case "method", "path", "headers", "expect_status", "expect_body":
		return []health.Type{health.HTTP, health.HTTPS}
	case "host":
		return []health.Type{health.HTTP, health.HTTPS, health.GRPC}
	case "tls":
		return []health.Type{health.HTTP, health.GRPC}
	case "tls_server_name", "tls_insecure", "tls_ca_file":
		return []health.Type{health.HTTP, health.HTTPS, health.GRPC, health.TLS}
	case "send", "expect":
		return []health.Type{health.TCP, health.TLS}
	case "service":
		return []health.Type{health.GRPC}
	case "command", "run_as":
		return []health.Type{health.Exec}
	}
	return nil
}

// alternatives writes a, b or c.
func alternatives[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

// spoken reads what a probe says or hears.
func (c *checker) spoken(s scalar) string {
	const most = 4096
	switch {
	case !s.ok():
		return ""
	case s.text == "":
		c.bad(s.place, "is empty; leave the key out")
	case len(s.text) > most:
		c.bad(s.place, "has %d bytes; allowed: at most %d", len(s.text), most)
	case strings.Contains(s.text, `\r`) || strings.Contains(s.text, `\n`) || strings.Contains(s.text, `\x`):
		c.warn(s.place, `%s has a backslash in it as it stands; if a line end or a byte is meant, put the text into double quotes, as in "PING\r\n"`, show(s.text))
	}
	return s.text
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
	for _, h := range c.headerLines(&f.Headers, checkProbeField) {
		cfg.Headers = append(cfg.Headers, health.Header{Name: h.Name, Value: h.Value})
	}
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
}

// checkProbeField is route.CheckField, but a probe may say, as a proxy would, where a request came from: many applications answer others with a redirect.
func checkProbeField(f route.Field) error {
	const prefix = "x-forwarded-"
	if len(f.Name) > len(prefix) && strings.EqualFold(f.Name[:len(prefix)], prefix) {
		f.Name = f.Name[len(prefix):]
	}
	return route.CheckField(f)
}

// healthTLS reads how certificates are verified, by the same rules as for the connections of clients; what is not said is as for those.
func (c *checker) healthTLS(f *fileHealth, cfg *health.Config, secure *pool.TLS) {
	cfg.TLS = c.flag(f.TLS) || cfg.Type == health.HTTPS || cfg.Type == health.TLS
	if !cfg.TLS {
		for _, s := range []scalar{f.TLSServerName, f.TLSInsecure, f.TLSCAFile} {
			if s.set && !f.TLS.bad && (cfg.Type == health.HTTP || cfg.Type == health.GRPC) {
				c.bad(s.place, "is for probes by TLS; write tls: true, too")
			}
		}
		return
	}
	if secure == nil {
		secure = &pool.TLS{}
	}
	cfg.TLSCertFile, cfg.TLSKeyFile = secure.CertFile, secure.KeyFile
	cfg.TLSCAFile, cfg.TLSInsecure = secure.CAFile, secure.Insecure
	if f.TLSCAFile.set {
		cfg.TLSCAFile, cfg.TLSInsecure = c.file(f.TLSCAFile), false
	}
	if f.TLSInsecure.set {
		cfg.TLSInsecure = c.flag(f.TLSInsecure)
	}
	cfg.TLSServerName = cmp.Or(secure.ServerName, hostOnly(cfg.Host))
	if f.TLSServerName.ok() {
		cfg.TLSServerName = c.tlsName(f.TLSServerName)
	}
	switch {
	case f.TLSInsecure.set && cfg.TLSInsecure && f.TLSCAFile.set:
		c.bad(f.TLSInsecure.place, "true contradicts tls_ca_file; keep one of the two")
	case f.TLSInsecure.set && cfg.TLSInsecure:
		c.warn(f.TLSInsecure.place, "certificates are not verified; whoever answers at the backend's address counts as up")
	}
}

// tlsName reads the name that a server's certificate must have.
func (c *checker) tlsName(s scalar) string {
	if !s.ok() {
		return ""
	}
	name, ok := sni.Canonical(s.text)
	if !ok {
		c.bad(s.place, "%s is not a server name; write a host name, such as www.example.org", show(s.text))
	}
	return name
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
