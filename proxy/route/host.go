package route

import (
	"fmt"
	"net/netip"
	"strings"
)

// appendHost appends the host of a Host field (or :authority) as names are compared: in lower case, without its port and without
// the dot at its end. An empty one stays empty.
func appendHost(dst []byte, s string) ([]byte, *Refusal) {
	if s == "" {
		return dst, nil
	}
	if s[0] == '[' {
		return appendIPv6(dst, s)
	}
	name, port, hasPort := strings.Cut(s, ":")
	if hasPort && strings.Trim(port, "0123456789") != "" {
		return dst, ErrHostForm
	}
	name = strings.TrimSuffix(name, ".")
	last := byte('.')
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.' && last != '.':
		default:
			return dst, ErrHostForm
		}
		dst = append(dst, c)
		last = c
	}
	if last == '.' {
		return dst, ErrHostForm
	}
	return dst, nil
}

func appendIPv6(dst []byte, s string) ([]byte, *Refusal) {
	literal, port, ok := strings.Cut(s[1:], "]")
	a, err := netip.ParseAddr(literal)
	if !ok || err != nil || !a.Is6() || a.Zone() != "" || port != "" && (port[0] != ':' || strings.Trim(port[1:], "0123456789") != "") {
		return dst, ErrHostForm
	}
	return append(a.AppendTo(append(dst, '[')), ']'), nil
}

// hosts is a set of hosts: names, and tails such as ".example.org" that stand for all names below.
type hosts struct {
	names map[string]bool
	tails map[string]bool
}

// add adds a name, an address, or "*." and a name.
func (h *hosts) add(s string) error {
	into, name := &h.names, s
	if rest, ok := strings.CutPrefix(s, "*."); ok {
		into, name = &h.tails, rest
	}
	b, refused := appendHost(nil, name)
	if refused != nil || name == "" || strings.Contains(name, "]:") || name[0] != '[' && strings.Contains(name, ":") || strings.HasSuffix(name, ".") ||
		into == &h.tails && name[0] == '[' {
		return fmt.Errorf("%q is not a host; allowed: a name or an address without port, or *. and a name", s)
	}
	if *into == nil {
		*into = make(map[string]bool)
	}
	if into == &h.tails {
		b = append([]byte("."), b...)
	}
	(*into)[string(b)] = true
	return nil
}

// has reports whether the set has host, which is in the form of appendHost. An empty set has all.
func (h *hosts) has(host []byte) bool {
	if h.names == nil && h.tails == nil || h.names[string(host)] {
		return true
	}
	if h.tails == nil {
		return false
	}
	for i := 1; i < len(host); i++ {
		if host[i] == '.' && h.tails[string(host[i:])] {
			return true
		}
	}
	return false
}
