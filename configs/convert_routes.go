package configs

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/route"
)

const (
	maxRegexp   = 1024 // characters of an expression
	maxBodySize = 1 << 40
	maxText     = 16 << 10 // bytes of an answer that is written in the file
)

// routes reads the routes of an http listener.
func (c *checker) routes(f *fileListener, l *proxy.ListenerConfig) {
	l.LenientPaths = c.flag(f.LenientPaths)
	if f.LenientPaths.set && !f.Routes.set {
		c.bad(f.LenientPaths.place, "is for listeners with routes; without them paths are passed on as they are")
	}
	taken := make(names)
	for i := range f.Routes.items {
		fr := &f.Routes.items[i]
		if fr.bad {
			continue
		}
		before := len(c.problems)
		r := c.route(fr, c.take(taken, fr.block, fr.Name, "route of this listener"))
		if len(c.problems) == before { // what is left, such as two keys that do not go together
			if _, err := route.Compile([]route.Config{r}, l.LenientPaths); err != nil {
				c.bad(fr.place, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
			}
		}
		l.Routes = append(l.Routes, r)
	}
	c.unreachable(f, l)
}

// unreachable looks for a route for every request: it makes the listener's pool, and the routes after it, useless.
func (c *checker) unreachable(f *fileListener, l *proxy.ListenerConfig) {
	table, err := route.Compile(l.Routes, l.LenientPaths)
	all := -1
	if err == nil {
		all = slices.IndexFunc(table.Routes(), (*route.Route).Last)
	}
	switch {
	case all >= 0 && all+1 < len(l.Routes):
		c.warn(f.Routes.items[all+1].place, "is never reached: the route %s before it has no condition", l.Routes[all].Name)
	case all < 0 && err == nil && !f.Pool.set:
		c.need(f.block, "pool", false, "the name of a pool below pools, for requests that no route is for")
	}
}

func (c *checker) route(f *fileRoute, name string) route.Config {
	r := route.Config{
		Name:     name,
		Hosts:    c.each(&f.Hosts, route.CheckHost),
		Paths:    c.each(&f.Paths, route.CheckPath),
		Prefixes: c.each(&f.PathPrefixes, route.CheckPath),
		Regexps:  c.each(&f.PathRegexps, checkRegexp),
		Methods:  c.each(&f.Methods, nil),
		Scheme:   choice(c, f.Scheme, "", "http", "https"),
		Clients:  c.clients(&f.Clients),
		While:    c.path(f.WhileFile, ""),
		Allow:    c.clients(&f.Allow),
		Deny:     c.clients(&f.Deny),
		Redirect: c.redirect(&f.Redirect),
		Respond:  c.respond(&f.Respond),
		Rewrite:  route.Rewrite{Host: c.text(f.Rewrite.Host, route.CheckAuthority), Path: c.text(f.Rewrite.Path, nil), Prefix: c.text(f.Rewrite.PathPrefix, route.CheckPath)},
		Request:  c.edit(&f.RequestHeaders),
		Response: c.edit(&f.ResponseHeaders),
		MaxBody:  c.bodySize(f.MaxBody),
	}
	for i, m := range r.Methods {
		if !isUpper(m) {
			c.bad(f.Methods.items[i].place, "%s is not a method; methods are words in capitals, such as GET", show(m))
		}
	}
	for i := range f.Headers.items {
		r.Headers = append(r.Headers, c.headerMatch(&f.Headers.items[i]))
	}
	if f.Pool.set {
		if r.Pool = c.name(f.Pool); r.Pool != "" {
			c.used = append(c.used, located[string]{f.Pool.place, r.Pool})
		}
	}
	patience := span{min: 100 * time.Millisecond, max: time.Hour, never: true}
	r.ResponseTimeout = c.otherwise(f.ResponseTimeout, patience)
	r.BodyTimeout = c.otherwise(f.BodyTimeout, patience)
	r.TunnelTimeout = c.otherwise(f.TunnelTimeout, span{min: time.Second, max: 7 * 24 * time.Hour, never: true})
	return r
}

// otherwise reads a duration that is the listener's if it is absent.
func (c *checker) otherwise(s scalar, allowed span) time.Duration {
	if !s.ok() {
		return 0
	}
	allowed.unset = "that of the listener"
	return c.duration(s, allowed)
}

func isUpper(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == ""
}

// text reads a value that check, unless it is nil, has no objection to.
func (c *checker) text(s scalar, check func(string) error) string {
	if !s.ok() {
		return ""
	}
	if s.text == "" {
		c.bad(s.place, "is empty; write a value, or leave the key out")
		return ""
	}
	if check != nil {
		if err := check(s.text); err != nil {
			c.bad(s.place, "%s", oneLine(err.Error()))
			return ""
		}
	}
	return s.text
}

// oneLine is a message whose quotes from the file are cut to a length that fits a line.
func oneLine(s string) string {
	const limit = 300
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}

// each reads a list of values, or a single one.
func (c *checker) each(l *list, check func(string) error) []string {
	if l.set && !l.bad && len(l.items) == 0 {
		c.bad(l.place, "is empty; write a value, or leave the key out")
	}
	var out []string
	for _, s := range l.items {
		if !s.ok() {
			continue
		}
		v := c.text(s, check)
		if v != "" && slices.Contains(out, v) {
			c.bad(s.place, "%s is listed twice", show(v))
		}
		out = append(out, v)
	}
	return out
}

func checkRegexp(s string) error {
	if len(s) > maxRegexp {
		return fmt.Errorf("has %d characters; allowed: at most %d", len(s), maxRegexp)
	}
	_, err := regexp.Compile(s)
	return err
}

// clients reads networks of clients; 0.0.0.0/0 and ::/0 are all of a family.
func (c *checker) clients(l *list) []netip.Prefix {
	if l.set && !l.bad && len(l.items) == 0 {
		c.bad(l.place, "is empty; write a network, or leave the key out")
	}
	var ps []netip.Prefix
	for _, s := range l.items {
		if s.ok() && (s.text == "0.0.0.0/0" || s.text == "::/0") {
			ps = append(ps, netip.MustParsePrefix(s.text))
			continue
		}
		p, ok := c.prefix(s)
		switch {
		case !ok:
		case p != p.Masked():
			c.bad(s.place, "%s is an address in a network; write the network %s, or the address alone", show(s.text), p.Masked())
		case slices.Contains(ps, p):
			c.bad(s.place, "%s is listed twice", p)
		default:
			ps = append(ps, p)
		}
	}
	return ps
}

func (c *checker) headerMatch(f *fileHeaderMatch) route.HeaderMatch {
	if f.bad {
		return route.HeaderMatch{}
	}
	c.need(f.block, "name", f.Name.set, "the name of a header field")
	if f.Value.set && f.Regexp.set {
		c.bad(f.Regexp.place, "contradicts value; keep one of the two")
	}
	return route.HeaderMatch{Name: c.text(f.Name, route.CheckFieldName), Value: c.text(f.Value, nil), Regexp: c.text(f.Regexp, checkRegexp)}
}

func (c *checker) redirect(f *fileRedirect) *route.Redirect {
	if !f.set || f.bad {
		return nil
	}
	status, err := strconv.Atoi(choice(c, f.Status, "308", "301", "302", "307", "308"))
	if err != nil {
		return nil // never: they are numbers
	}
	return &route.Redirect{
		Status: status, Scheme: choice(c, f.Scheme, "", "http", "https"), Host: c.text(f.Host, route.CheckAuthority),
		Path: c.text(f.Path, nil), Prefix: c.text(f.PathPrefix, route.CheckPath),
	}
}

func (c *checker) respond(f *fileRespond) *route.Respond {
	if !f.set || f.bad {
		return nil
	}
	c.need(f.block, "status", f.Status.set, "the status of the answer, such as 503")
	r := &route.Respond{Status: c.number(f.Status, 599, 0), File: c.path(f.File, "")}
	if f.Status.ok() && r.Status < 200 {
		c.bad(f.Status.place, "%s is not the status of an answer; allowed: 200..599", show(f.Status.text))
	}
	if f.Body.ok() {
		r.Body = []byte(f.Body.text)
	}
	switch {
	case len(r.Body) > maxText:
		c.bad(f.Body.place, "has %d bytes; allowed: at most %d, more in a file", len(r.Body), maxText)
	case f.Body.set && f.File.set:
		c.bad(f.File.place, "contradicts body; keep one of the two")
	}
	c.readable(f.File, r.File)
	r.ContentType = c.text(f.ContentType, func(s string) error { return route.CheckField(route.Field{Name: "x", Value: s}) })
	return r
}

// readable tells whether a file can be read on this host, as far as that is known.
func (c *checker) readable(s scalar, path string) {
	if path == "" || c.host.File == nil {
		return
	}
	if err := c.host.File(path); err != nil {
		c.fact(s.place, "%v", err)
	}
}

func (c *checker) edit(f *fileEdit) route.Edit {
	if !f.set || f.bad {
		return route.Edit{}
	}
	if !f.Set.set && !f.Add.set && !f.Remove.set {
		c.bad(f.place, "is empty; write set, add or remove")
	}
	return route.Edit{Set: c.headerLines(&f.Set, route.CheckField), Add: c.headerLines(&f.Add, route.CheckField), Remove: c.each(&f.Remove, route.CheckFieldName)}
}

// headerLines reads lines such as "X-Env: prod".
func (c *checker) headerLines(l *list, check func(route.Field) error) []route.Field {
	var fs []route.Field
	for _, s := range l.items {
		if !s.ok() {
			continue
		}
		name, value, ok := strings.Cut(s.text, ":")
		f := route.Field{Name: name, Value: strings.Trim(value, " ")}
		if !ok {
			c.bad(s.place, `%s is not a header field; write a name and a value, such as "X-Env: prod"`, show(s.text))
			continue
		}
		if err := check(f); err != nil {
			c.bad(s.place, "%s", oneLine(err.Error()))
			continue
		}
		fs = append(fs, f)
	}
	return fs
}

// bodySize reads a number of bytes; zero if it is absent, which means the listener's, or no bound.
func (c *checker) bodySize(s scalar) int64 {
	switch {
	case !s.ok():
		return 0
	case s.text == "unlimited":
		return -1
	}
	digits, unit := s.text, int64(1)
	for i, u := range []string{"KiB", "MiB", "GiB"} {
		if d, ok := strings.CutSuffix(digits, u); ok {
			digits, unit = strings.TrimRight(d, " "), 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !isDigits(digits) || n < 1 || n > maxBodySize/unit {
		c.bad(s.place, "%s is not a size; allowed: bytes, or with a unit as in 64KiB, 10MiB, 1GiB; or unlimited", show(s.text))
		return 0
	}
	return n * unit
}

// errorPages reads the pages of an http listener.
func (c *checker) errorPages(f *fileListener) []proxy.ErrorPage {
	taken := make(map[int]bool)
	var ps []proxy.ErrorPage
	for i := range f.ErrorPages.items {
		fp := &f.ErrorPages.items[i]
		if fp.bad {
			continue
		}
		c.need(fp.block, "statuses", fp.Statuses.set, "the statuses that it is for, such as [502, 503, 504]")
		c.need(fp.block, "file", fp.File.set, "the path of a file, absolute")
		p := proxy.ErrorPage{File: c.path(fp.File, "")}
		c.readable(fp.File, p.File)
		for _, s := range fp.Statuses.items {
			n := c.number(s, 599, 0)
			switch {
			case n == 0:
			case n < 400:
				c.bad(s.place, "%d is not an error; allowed: 400..599", n)
			case taken[n]:
				c.bad(s.place, "%d has a page already", n)
			default:
				taken[n] = true
				p.Statuses = append(p.Statuses, n)
			}
		}
		ps = append(ps, p)
	}
	return ps
}
