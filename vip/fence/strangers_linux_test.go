package fence

import (
	"net/netip"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTablesOfOtherNamesWithOurAddressesAreStrangers(t *testing.T) {
	inNamespace(t)
	g := newGate(t, 100*time.Millisecond)
	others := map[string][]netip.Addr{
		"lb9":       {vips()[0], vips()[1], netip.MustParseAddr("10.9.0.99")},
		"elsewhere": {netip.MustParseAddr("10.9.0.99")}, // another cluster's: none of our business
	}
	for node, addrs := range others {
		o, err := New(node, addrs, time.Second)
		must(t, err)
		defer func() { _ = o.Close() }()
		must(t, o.Install(Shut))
	}
	must(t, exec.Command("nft", "add", "table", "inet", "tandem_notes").Run()) // somebody's own
	got, err := g.Strangers()
	want := []Stranger{{"tandem_lb9", "inet", vips()}, {"tandem_lb9", "arp", vips()[:1]}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("Strangers() = %+v, %v, want %+v", got, err, want)
	}
	for _, s := range got {
		args := strings.Fields(s.Command())
		must(t, exec.Command(args[0], args[1:]...).Run())
	}
	if got, err := g.Strangers(); err != nil || len(got) > 0 {
		t.Errorf("after the commands: %+v, %v", got, err)
	}
	must(t, g.Check())
}
