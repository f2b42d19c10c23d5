package e2e

import (
	"fmt"
	"slices"

	"github.com/google/nftables"

	"github.com/tandem-lb/tandem/test/lab"
)

// kernel is what the kernel of a host keeps: addresses and nftables tables, sorted.
func (s *scene) kernel(h *lab.Host) []string {
	s.t.Helper()
	addrs, err := h.Addrs()
	s.must(err)
	var list []string
	for _, a := range addrs {
		list = append(list, a.String())
	}
	for _, t := range s.tables(h) {
		list = append(list, fmt.Sprintf("table %d %s", t.Family, t.Name))
	}
	slices.Sort(list)
	return list
}

func (s *scene) tables(h *lab.Host) []*nftables.Table {
	s.t.Helper()
	var tables []*nftables.Table
	s.must(h.Do(func() error {
		c, err := nftables.New()
		if err == nil {
			tables, err = c.ListTables()
		}
		return err
	}))
	return tables
}

// bare asserts that the kernel of a host keeps nothing but the host's own addresses.
func (s *scene) bare(h *lab.Host) {
	s.t.Helper()
	want := []string{h.Addr().String() + "/24", h.Addr6().String() + "/64"}
	slices.Sort(want)
	if got := s.kernel(h); !slices.Equal(got, want) {
		s.t.Errorf("the kernel of %s keeps %v, want %v", h.Name(), got, want)
	}
}

// has says whether a VIP is on the host's link.
func (s *scene) has(h *lab.Host) bool {
	s.t.Helper()
	addrs, err := h.Addrs()
	s.must(err)
	for _, a := range addrs {
		if a.Addr() == s.VIP || a.Addr() == s.VIP6 {
			return true
		}
	}
	return false
}
