package configs

import (
	"net/netip"

	"github.com/tandem-lb/tandem/vip"
)

// maxMore is how many further links there may be: with the first one, as many as nodes tell each other MACs.
const maxMore = 7

// more reads the further links that carry virtual addresses.
func (c *checker) more(f *fileVIP) []vip.Link {
	if n := len(f.More.items); n > maxMore {
		c.bad(f.More.place, "has %d entries; allowed: at most %d", n, maxMore)
		return nil
	}
	var all []vip.Link
	for i := range f.More.items {
		m := &f.More.items[i]
		l := vip.Link{}
		c.need(m.block, "interface", m.Interface.set, "the name of a further interface, such as eth1")
		if m.Interface.ok() {
			l.Interface = c.link(m.Interface)
		}
		for _, s := range append([]scalar{f.Interface}, interfaces(f.More.items[:i])...) {
			if s.ok() && m.Interface.ok() && s.text == m.Interface.text {
				c.bad(m.Interface.place, "%s has virtual addresses already (line %d); write all that belong on it there", s.text, s.line)
			}
		}
		c.need(m.block, "addresses", m.Addresses.set, "the virtual addresses on this interface, such as [192.0.2.10]")
		first := len(c.vips)
		c.readVIPs(&m.Addresses)
		l.Gateway = c.gateway(m.Gateway, c.vips[first:])
		for _, v := range c.vips[first:] {
			l.Addresses = append(l.Addresses, v.v)
		}
		all = append(all, l)
	}
	return all
}

func interfaces(more []fileMore) []scalar {
	var all []scalar
	for _, m := range more {
		all = append(all, m.Interface)
	}
	return all
}

// allVIPs says whether every address that the file lists could be read.
func (c *checker) allVIPs(f *fileVIP) bool {
	n := len(f.Addresses.items)
	for _, m := range f.More.items {
		n += len(m.Addresses.items)
	}
	return n == len(c.vips)
}

// gateways are the routers of all links.
func gateways(v vip.Config) []netip.Addr {
	all := []netip.Addr{v.Gateway}
	for _, l := range v.More {
		all = append(all, l.Gateway)
	}
	return all
}
