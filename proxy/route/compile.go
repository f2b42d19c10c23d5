package route

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Compile makes a table. With lenient, encoded slashes and empty segments in paths are not refused, but read as one slash. The error
// names everything that is wrong.
func Compile(cfgs []Config, lenient bool) (*Table, error) {
	t := &Table{lenient: lenient}
	var errs []error
	for _, cfg := range cfgs {
		r, err := compile(cfg)
		if err != nil {
			errs = append(errs, fmt.Errorf("route %s: %w", cfg.Name, err))
		}
		r.index = len(t.routes)
		t.routes = append(t.routes, r)
	}
	return t, errors.Join(errs...)
}

func compile(cfg Config) (*Route, error) {
	if cfg.Redirect != nil && cfg.Redirect.Status == 0 {
		to := *cfg.Redirect
		to.Status = 308
		cfg.Redirect = &to
	}
	r := &Route{Config: cfg, request: newEditor(cfg.Request), response: newEditor(cfg.Response)}
	var errs []error
	for _, h := range cfg.Hosts {
		errs = append(errs, r.hosts.add(h))
	}
	var err error
	r.paths, err = readAll(cfg.Paths)
	errs = append(errs, err)
	r.prefixes, err = readAll(cfg.Prefixes)
	errs = append(errs, err)
	for _, s := range cfg.Regexps {
		re, err := regexp.Compile(s)
		r.regexps, errs = append(r.regexps, re), append(errs, err)
	}
	for _, h := range cfg.Headers {
		m := headerMatch{name: strings.ToLower(h.Name), accept: func(string) bool { return true }}
		switch {
		case h.Regexp != "":
			re, err := regexp.Compile(h.Regexp)
			errs = append(errs, err)
			m.accept = func(s string) bool { return re.MatchString(s) }
		case h.Value != "":
			m.accept = func(s string) bool { return s == h.Value }
		}
		r.headers = append(r.headers, m)
	}
	for _, f := range slices.Concat(cfg.Request.Set, cfg.Request.Add, cfg.Response.Set, cfg.Response.Add) {
		errs = append(errs, CheckField(f))
	}
	errs = append(errs, cfg.actions(), cfg.targets())
	return r, errors.Join(errs...)
}

// actions checks what is to be done against each other.
func (c *Config) actions() error {
	n := 0
	for _, given := range []bool{c.Pool != "", c.Redirect != nil, c.Respond != nil} {
		if given {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("more than one of pool, redirect and respond")
	case c.Redirect != nil && !slices.Contains([]int{0, 301, 302, 307, 308}, c.Redirect.Status):
		return fmt.Errorf("status %d is not a redirect", c.Redirect.Status)
	case c.Respond != nil && (c.Respond.Status < 200 || c.Respond.Status > 599):
		return fmt.Errorf("status %d is not final", c.Respond.Status)
	case c.Redirect != nil && *c.Redirect == (Redirect{Status: c.Redirect.Status}):
		return errors.New("redirect leads to where it came from")
	}
	return nil
}

// targets checks the new paths and hosts.
func (c *Config) targets() error {
	to := Redirect{}
	if c.Redirect != nil {
		to = *c.Redirect
	}
	var errs []error
	for _, rw := range []Rewrite{c.Rewrite, {Host: to.Host, Path: to.Path, Prefix: to.Prefix}} {
		if rw.Host != "" {
			errs = append(errs, CheckAuthority(rw.Host))
		}
		if rw.Path != "" {
			errs = append(errs, checkTemplate(rw.Path))
		}
		if strings.Contains(rw.Path, "$") && (len(c.Regexps) == 0 || len(c.Paths)+len(c.Prefixes) > 0) {
			errs = append(errs, fmt.Errorf("%q needs conditions on paths by expression, and no other on paths", rw.Path))
		}
		switch {
		case rw.Prefix == "":
		case rw.Path != "":
			errs = append(errs, errors.New("path and prefix exclude each other"))
		case len(c.Prefixes) == 0 || len(c.Paths)+len(c.Regexps) > 0:
			errs = append(errs, errors.New("a new prefix needs conditions on prefixes, and no other on paths"))
		default:
			errs = append(errs, CheckPath(rw.Prefix))
		}
	}
	if to.Scheme != "" && to.Scheme != "http" && to.Scheme != "https" {
		errs = append(errs, fmt.Errorf("scheme %q is neither http nor https", to.Scheme))
	}
	return errors.Join(errs...)
}

// CheckHost tells what is wrong with a host to match.
func CheckHost(s string) error { return new(hosts).add(s) }

// CheckAuthority tells what is wrong with a host to go to, which may have a port.
func CheckAuthority(s string) error {
	if _, refused := appendHost(nil, s); refused != nil || s == "" {
		return fmt.Errorf("%q is not a host; allowed: a name or an address, with or without port", s)
	}
	return nil
}

// CheckPath tells what is wrong with a path to match or to put in the place of another.
func CheckPath(s string) error {
	_, err := readPath(s)
	return err
}

// readPath reads a path of the configuration as those of requests are read.
func readPath(s string) (string, error) {
	in := reader{}
	if _, refused := in.read(s, len(s)+1); refused != nil {
		return "", fmt.Errorf("%q is not a path: %w", s, refused)
	}
	if strings.ContainsAny(s, "?;") {
		return "", fmt.Errorf("%q is not a path alone: it has a query or a parameter", s)
	}
	return string(in.out), nil
}

func readAll(paths []string) ([]string, error) {
	var read []string
	var errs []error
	for _, p := range paths {
		r, err := readPath(p)
		read, errs = append(read, r), append(errs, err)
	}
	return read, errors.Join(errs...)
}

func checkTemplate(s string) error {
	in := reader{}
	if _, refused := in.read(s, len(s)+1); refused != nil {
		return fmt.Errorf("%q is not a path: %w", s, refused)
	}
	if strings.Contains(s, "?") {
		return fmt.Errorf("%q has a query, which stays as the client wrote it", s)
	}
	return nil
}

// CheckField tells what is wrong with a field to add.
func CheckField(f Field) error {
	if err := CheckFieldName(f.Name); err != nil {
		return err
	}
	for i := range len(f.Value) {
		if c := f.Value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value of %s has a control character", f.Name)
		}
	}
	if f.Value != strings.Trim(f.Value, " \t") {
		return fmt.Errorf("the value of %s has blanks at its end", f.Name)
	}
	return nil
}

// CheckFieldName tells why a field cannot be matched, set or removed: it is none, or it says how long a message is, where it goes, who
// sent it, or what becomes of the connection, which is the proxy's own business.
func CheckFieldName(name string) error {
	const tokens = "!#$%&'*+-.^`|~0123456789abcdefghijklmnopqrstuvwxyz"
	low := strings.ToLower(name)
	if name == "" || strings.Trim(low, tokens) != "" {
		return fmt.Errorf("%q is not the name of a header field", name)
	}
	switch low {
	case "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive", "proxy-connection", "expect",
		"forwarded", "x-real-ip", "http2-settings", "proxy-authenticate", "proxy-authorization":
		return fmt.Errorf("%s is made by the proxy itself", name)
	}
	if strings.HasPrefix(low, "x-forwarded-") {
		return fmt.Errorf("%s is made by the proxy itself", name)
	}
	return nil
}
