package configs

import (
	"net/netip"
	"strconv"
	"strings"
)

// gossipPort is where nodes gossip unless the file says otherwise.
const gossipPort = 7946

// addrPort reads an address with a port; def is the port if none is written, 0 if one must be.
func (c *checker) addrPort(s scalar, def uint16) (netip.AddrPort, bool) {
	none := netip.AddrPort{}
	if !s.ok() {
		return none, false
	}
	text := s.text
	if why := notAddress(text); why != "" {
		c.bad(s.place, "%s %s", show(text), why)
		return none, false
	}
	host, port, whole := splitPort(text)
	a, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		c.bad(s.place, "%s is not %s", show(text), wanted(def))
		return none, false
	case !whole && def == 0 && a.Is6():
		c.bad(s.place, `%s has no port that could be told from the address; write "[%s]:80", or whichever port is meant`, show(text), host)
		return none, false
	case !whole && def == 0:
		c.bad(s.place, "%s has no port; write %s:80, or whichever port is meant", show(text), host)
		return none, false
	case a.Is4In6():
		c.bad(s.place, "%s is an IPv4 address in IPv6 form; write %s", show(text), strings.Replace(text, "["+host+"]", a.Unmap().String(), 1))
		return none, false
	}
	if !whole {
		return netip.AddrPortFrom(a, def), true
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 || !isDigits(port) {
		c.bad(s.place, "%s has the port %s; allowed: 1..65535", show(text), show(port))
		return none, false
	}
	return netip.AddrPortFrom(a, uint16(n)), true
}

func wanted(def uint16) string {
	if def == 0 {
		return `an IP address with a port; write 10.0.0.1:80 or "[2001:db8::1]:80"`
	}
	return `an IP address, with or without a port; write 10.0.0.1:` + strconv.Itoa(int(def)) + ` or "[2001:db8::1]:` + strconv.Itoa(int(def)) + `"`
}

// addr reads an address.
func (c *checker) addr(s scalar) (netip.Addr, bool) {
	if !s.ok() {
		return netip.Addr{}, false
	}
	if why := notAddress(s.text); why != "" {
		c.bad(s.place, "%s %s", show(s.text), why)
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s.text)
	switch {
	case err != nil:
		if host, _, whole := splitPort(s.text); whole {
			if _, err := netip.ParseAddr(host); err == nil {
				c.bad(s.place, "%s has a port where only an address is wanted; write %s", show(s.text), host)
				return netip.Addr{}, false
			}
		}
		c.bad(s.place, "%s is not an IP address; write 10.0.0.1 or 2001:db8::1", show(s.text))
		return netip.Addr{}, false
	case a.Is4In6():
		c.bad(s.place, "%s is an IPv4 address in IPv6 form; write %s", show(s.text), a.Unmap())
		return netip.Addr{}, false
	}
	return a, true
}

// prefix reads an address with or without a prefix length; without one it is a single address.
func (c *checker) prefix(s scalar) (netip.Prefix, bool) {
	if !s.ok() {
		return netip.Prefix{}, false
	}
	host, bits, slash := strings.Cut(s.text, "/")
	if !slash {
		a, ok := c.addr(s)
		if !ok {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	bare := s
	bare.text = host
	a, ok := c.addr(bare)
	if !ok {
		return netip.Prefix{}, false
	}
	p, err := a.Prefix(atoi(bits))
	if err != nil || !isDigits(bits) || bits[0] == '0' {
		c.bad(s.place, "%s has the prefix length %s; allowed: 1..%d", show(s.text), show(bits), a.BitLen())
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, p.Bits()), true
}

// atoi is -1 for what is no number.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// splitPort cuts 10.0.0.1:80 and [::1]:80 in two; whole is false if no port is there.
func splitPort(s string) (host, port string, whole bool) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, port, ok := strings.Cut(rest, "]")
		if !ok {
			return s, "", false
		}
		port, whole = strings.CutPrefix(port, ":")
		if !whole && port != "" {
			return s, "", false
		}
		return host, port, whole
	}
	if strings.Count(s, ":") == 1 {
		return strings.Cut(s, ":")
	}
	return s, "", false
}

// notAddress says what a string is that people write where an address is wanted; "" if nothing comes to mind.
func notAddress(s string) string {
	host, port, whole := splitPort(s)
	switch {
	case s == "":
		return "is empty; write an IP address"
	case strings.Contains(s, "://"):
		return "is a URL; write only the address, without " + strings.SplitAfter(s, "://")[0]
	case strings.Contains(s, "/"):
		return "is a network where one address is wanted; leave /" + strings.SplitN(s, "/", 2)[1] + " out"
	case strings.Contains(s, "%"):
		return "has a zone (%); zones differ between hosts: use a global or a unique local address"
	case whole && host == "":
		return "has no address; write 0.0.0.0:" + port + " for all IPv4 addresses, or one address"
	case host == "localhost":
		return "is a host name; write 127.0.0.1"
	case looksLikeName(host):
		return "is a host name, or mistyped; an IP address is wanted here"
	}
	return ""
}

// looksLikeName: a letter that no IP address has, or letters without a colon.
func looksLikeName(s string) bool {
	letters := strings.ContainsFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
	beyond := strings.ContainsFunc(s, func(r rune) bool { return r > 'f' && r <= 'z' || r > 'F' && r <= 'Z' })
	return beyond || letters && !strings.Contains(s, ":")
}

// odd says why an address cannot be one that a host or a client connects to; "" if it can.
func odd(a netip.Addr) string {
	switch {
	case a.IsUnspecified():
		return "is the unspecified address"
	case a.IsMulticast():
		return "is a multicast address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is the broadcast address"
	case a.Is6() && a.IsLinkLocalUnicast():
		return "is link-local, which needs a zone, and zones differ between hosts"
	case a.Is4() && a.As4()[0] == 0:
		return "is in 0.0.0.0/8, which no host can have"
	}
	return ""
}

// hostOf says why a prefix's address cannot be a host's in its network; "" if it can.
func hostOf(p netip.Prefix) string {
	left := p.Addr().BitLen() - p.Bits()
	if left < 2 {
		return ""
	}
	if p.Addr() == p.Masked().Addr() {
		return "is the network, not an address in it"
	}
	if p.Addr().Is4() {
		b := p.Addr().As4()
		v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		if mask := uint32(1)<<left - 1; v&mask == mask {
			return "is the broadcast address of its network"
		}
	}
	return ""
}
