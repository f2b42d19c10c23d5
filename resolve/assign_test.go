package resolve

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func some(n int) (out []netip.Addr) {
	for i := range n {
		out = append(out, netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}))
	}
	return out
}

func places(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint("app-", i+1))
	}
	return out
}

func TestAddressesAreGivenOutByTheSetAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range [][2]int{{1, 1}, {1, 5}, {4, 4}, {8, 5}, {5, 8}} {
		addrs := some(c[1])
		first := assign(places(c[0]), addrs)
		for range 20 {
			r.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
			if got := assign(places(c[0]), addrs); !slices.Equal(got, first) {
				t.Fatalf("%v: %v in another order of the answer, %v before", c, got, first)
			}
		}
		seen, given := map[netip.Addr]bool{}, 0
		for _, a := range first {
			if a.IsValid() {
				if seen[a] {
					t.Errorf("%v: %s is given out twice", c, a)
				}
				seen[a], given = true, given+1
			}
		}
		if want := min(c[0], c[1]); given != want {
			t.Errorf("%v: %d given out, want %d", c, given, want)
		}
	}
}

func TestFewMoveWhenAnAddressGoes(t *testing.T) {
	moved, all := 0, 0
	for n := 2; n <= 16; n++ {
		addrs := some(n)
		before := assign(places(n), addrs)
		for gone := range addrs {
			after := assign(places(n), slices.Delete(slices.Clone(addrs), gone, gone+1))
			for i := range before {
				if before[i] == addrs[gone] {
					continue
				}
				all++
				if after[i] != before[i] {
					moved++
				}
			}
		}
	}
	if part := float64(moved) / float64(all); part > 0.25 {
		t.Errorf("%.0f%% of those that stay have moved", 100*part)
	}
}

// TestAssignmentStaysTheSameBetweenVersions: nodes of two versions must agree.
func TestAssignmentStaysTheSameBetweenVersions(t *testing.T) {
	const want = "[10.0.1.2 10.0.1.0 invalid IP 10.0.1.1]"
	if got := fmt.Sprint(assign(places(4), some(3))); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestServersOfTheSystem(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"search example.org\nnameserver 10.0.0.53 # the first\n  nameserver\t2001:db8::53\nnameserver x\noptions ndots:5\n", "[10.0.0.53:53 [2001:db8::53]:53]"},
		{"nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n", "[10.0.0.1:53 10.0.0.2:53 10.0.0.3:53]"},
		{"", "[127.0.0.1:53]"},
		{strings.Repeat("x", 1<<17) + "\nnameserver 10.0.0.1\n", "[127.0.0.1:53]"},
	} {
		if got := fmt.Sprint(parseServers(strings.NewReader(c.file))); got != c.want {
			t.Errorf("%.40q: %s, want %s", c.file, got, c.want)
		}
	}
}
