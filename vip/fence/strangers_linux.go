package fence

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Stranger is a table that is made like a gate's, is not this node's, and has some of its virtual addresses: nobody renews it for this node, so it drops
// what concerns them whatever our own gate lets pass.
type Stranger struct {
	Table  string
	Family string // "inet" or "arp"
	VIPs   []netip.Addr
}

// Command is what removes it.
func (s Stranger) Command() string { return "nft delete table " + s.Family + " " + s.Table }

// Strangers lists those of this host.
func (g *Gate) Strangers() ([]Stranger, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open netfilter: %w", err)
	}
	var list []Stranger
	for _, family := range []struct {
		name string
		of   nftables.TableFamily
	}{{"inet", nftables.TableFamilyINet}, {"arp", nftables.TableFamilyARP}} {
		tables, err := c.ListTablesOfFamily(family.of)
		if err != nil {
			if absent(err) {
				continue
			}
			return nil, fmt.Errorf("list the tables of family %s: %w", family.name, err)
		}
		for _, t := range tables {
			if !strings.HasPrefix(t.Name, prefix) || t.Name == g.table {
				continue
			}
			vips, err := g.among(c, t)
			if err != nil {
				return nil, fmt.Errorf("read the table %s: %w", t.Name, err)
			}
			if len(vips) > 0 {
				list = append(list, Stranger{t.Name, family.name, vips})
			}
		}
	}
	return list, nil
}

// among are the gate's addresses that are in a table's sets of virtual addresses.
func (g *Gate) among(c *nftables.Conn, t *nftables.Table) ([]netip.Addr, error) {
	sets, err := c.GetSets(t)
	if err != nil && !absent(err) {
		return nil, err
	}
	var vips []netip.Addr
	for _, s := range sets {
		if s.Name != setVIPs4 && s.Name != setVIPs6 {
			continue
		}
		elems, err := c.GetSetElements(s)
		if err != nil && !absent(err) {
			return nil, err
		}
		for _, e := range elems {
			a, ok := netip.AddrFromSlice(e.Key)
			if ok && (slices.Contains(g.v4, a) || slices.Contains(g.v6, a)) {
				vips = append(vips, a)
			}
		}
	}
	slices.SortFunc(vips, netip.Addr.Compare)
	return vips, nil
}

// absent reports whether what was asked for is not there, or was removed meanwhile.
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}
