package configs

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func minimal(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("testdata/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// change replaces in the minimal file, and fails if there is nothing to replace.
func change(t *testing.T, pairs ...string) string {
	t.Helper()
	text := minimal(t)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("nothing to replace: %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func TestFactsOfTheHostAreWarnings(t *testing.T) {
	wrong := errors.New("is wrong")
	tests := []struct {
		name, text string
		host       Host
		want       string
	}{
		{"interface", minimal(t), Host{Interface: func(string) error { return wrong }}, "vip.interface: there is no interface eth0 on this host"},
		{"key", minimal(t), Host{Key: func(string) error { return wrong }}, "cluster.key_file: is wrong"},
		{"own address", minimal(t), Host{Addresses: func() ([]netip.Addr, error) { return nil, nil }}, "cluster.bind: 10.0.0.11 is not an address of this host"},
		{"peer's address", change(t, "10.0.0.12", "2001:db8::11", "bind: 10.0.0.11", "bind: 2001:db8::1"), lab(), "cluster.peers[0]: 2001:db8::11 is an address of this host"},
		{"listener", change(t, "10.0.0.10:80", "10.0.0.20:80"), lab(), "listeners[web].bind: 10.0.0.20 is neither a virtual address (vip.addresses, vip.more) nor an address of this host"},
		{"authorities", change(t, "/healthz", "/, tls: true, tls_ca_file: /ca.pem"), Host{File: func(string) error { return wrong }}, "pools[web].health.tls_ca_file: is wrong"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := Parse("f", []byte(tt.text), tt.host)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				if w.Host && strings.Contains(w.String(), tt.want) {
					return
				}
			}
			t.Errorf("warnings:\n%swant: %s", told(warnings, nil), tt.want)
		})
	}
}

func TestListenersMayStandOnTheHostsAddressesAndOnAll(t *testing.T) {
	for _, bind := range []string{"10.0.0.11:80", "0.0.0.0:80", "[::]:80", "127.0.0.1:80", "[2001:db8::11]:80"} {
		_, warnings, err := Parse("f", []byte(change(t, "10.0.0.10:80", bind)), lab())
		for _, w := range warnings {
			if w.Host || !strings.Contains(w.String(), "no listener binds 10.0.0.10") {
				t.Errorf("%s: %s", bind, w)
			}
		}
		if unserved := bind != "0.0.0.0:80"; err != nil || unserved != (len(warnings) == 1) {
			t.Errorf("%s: %s", bind, told(warnings, err))
		}
	}
}

func TestAVIPWithoutAListenerIsWarnedOf(t *testing.T) {
	_, warnings, err := Parse("f", []byte(change(t, "addresses: [10.0.0.10]", `addresses: [10.0.0.10, 10.0.0.9, "2001:db8::9"]`)), lab())
	const want = `warning: f:9:26: vip.addresses[1]: no listener binds 10.0.0.9: clients that connect to it are refused, unless another program listens there on every node
warning: f:9:36: vip.addresses[2]: no listener binds 2001:db8::9: clients that connect to it are refused, unless another program listens there on every node
`
	if got := told(warnings, err); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	text := change(t, `bind: "10.0.0.10:80"`, `bind: "0.0.0.0:80"`, "pools:", `  - {name: web6, bind: "[::]:80", protocol: http, pool: web}`+"\npools:",
		"addresses: [10.0.0.10]", `addresses: [10.0.0.10, "2001:db8::9"]`)
	if _, warnings, err := Parse("f", []byte(text), lab()); err != nil || len(warnings) > 0 {
		t.Errorf("listeners on all addresses: %s", told(warnings, err))
	}
}

func TestBothFamiliesOfWildcardsGoTogether(t *testing.T) {
	text := change(t, `bind: "10.0.0.10:80"`, `bind: "0.0.0.0:80"`, "pools:", `  - {name: web6, bind: "[::]:80", protocol: http, pool: web}`+"\npools:")
	if _, _, err := Parse("f", []byte(text), lab()); err != nil {
		t.Errorf("0.0.0.0:80 and [::]:80: %v", err)
	}
}

func TestNodeIsTheHostUnlessTheNameIsNobodys(t *testing.T) {
	text := change(t, "node: lb1 ", "# ")
	for _, tt := range []struct{ host, want string }{
		{"lb7.example.org", ""},
		{"localhost", "as on many hosts"},
		{"localhost.localdomain", "as on many hosts"},
		{"-", "cannot name a node"},
	} {
		cfg, _, err := Parse("f", []byte(text), Host{Name: func() (string, error) { return tt.host, nil }})
		switch {
		case tt.want == "" && (err != nil || cfg.Node != tt.host):
			t.Errorf("on %s: %v", tt.host, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), "node: is missing") || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("on %s: %v, want %s", tt.host, err, tt.want)
		}
	}
	if _, _, err := Parse("f", []byte(text), Host{}); err == nil {
		t.Error("a node without a name was accepted")
	}
}

func TestWhatIsProbablyNotMeantIsAWarning(t *testing.T) {
	for _, tt := range []struct {
		want  string
		pairs []string
	}{
		{"vip.addresses[0]: /24 lets the kernel", []string{"[10.0.0.10]", "[10.0.0.10/24]"}},
		{"cluster.peers: is empty; nobody takes over", []string{"[10.0.0.12]", "[]"}},
		{"drain: 41s is longer than tandem.service waits for a stop (45s): systemd would kill the daemon; raise TimeoutStopSec= to 46s", []string{"cluster:", "drain: 41s\ncluster:"}},
		{"cluster.insecure: anyone on the network can join", []string{"key_file: /etc/tandem/cluster.key", "insecure: true"}},
		{"cluster.preempt_delay: has no effect without preempt", []string{"  key_file", "  preempt_delay: 1m\n  key_file"}},
		{"pools[old].name: no listener uses the pool old", []string{"pools:\n", "pools:\n  - {name: old, backends: [{name: a, address: 10.0.1.1:80}]}\n"}},
		{"10.0.1.21:8080 is the address of the backend web1, too", []string{"10.0.1.22", "10.0.1.21"}},
		{"10.0.0.10 is a virtual address: another host after each failover", []string{"10.0.1.21", "10.0.0.10"}},
		{"listeners: there is none", []string{`  - {name: web, bind: "10.0.0.10:80", protocol: http, pool: web}`, "", "listeners:", "listeners: []"}},
		{"state_dir: /run/state is emptied at a reboot", []string{"cluster:\n", "state_dir: /run/state\ncluster:\n"}},
		{"state_dir and run_dir are the same directory", []string{"cluster:\n", "state_dir: /srv/t\nrun_dir: /srv/t/\ncluster:\n"}},
		{"0.0.0.0/0 believes every client", []string{"protocol: http", "protocol: http, trusted_proxies: [0.0.0.0/0]"}},
		{"header_timeout: never lets clients", []string{"protocol: http", "protocol: http, header_timeout: never"}},
		{"tls_insecure: certificates are not verified", []string{"/healthz", "/, tls: true, tls_insecure: true"}},
	} {
		text := change(t, tt.pairs...)
		cfg, warnings, err := Parse("f", []byte(text), lab())
		if err != nil {
			t.Errorf("%s: refused: %v", tt.want, err)
			continue
		}
		sound(t, cfg)
		inside(t, []byte(text), warnings, nil)
		if !strings.Contains(told(warnings, nil), tt.want) {
			t.Errorf("warnings:\n%swant: %s", told(warnings, nil), tt.want)
		}
	}
}

func TestModesOfLaterVersionsMayBeOff(t *testing.T) {
	text := change(t, "  key_file", "  quorum: false\n  witness: false\n  key_file")
	if _, warnings, err := Parse("f", []byte(text), lab()); err != nil || len(warnings) > 0 {
		t.Error(told(warnings, err))
	}
}

func TestThisHostKnowsItself(t *testing.T) {
	h := ThisHost()
	addrs, err := h.Addresses()
	if err != nil || len(addrs) == 0 {
		t.Errorf("addresses: %v, %v", addrs, err)
	}
	if h.Interface("no-such-link") == nil {
		t.Error("there is an interface no-such-link")
	}
	if h.File("/no/such/file") == nil {
		t.Error("there is a file /no/such/file")
	}
}

func TestNeighboursAreAFewBackendsThatCanBeAsked(t *testing.T) {
	more := ""
	for _, a := range []string{"127.0.0.1", "10.0.0.12", "10.0.0.1", "10.0.1.21", "[2001:db8::7]", "10.0.0.10", "10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6", "10.0.1.7"} {
		more += "      - {name: n" + strings.NewReplacer(".", "", "[", "", "]", "", ":", "").Replace(a) + ", address: \"" + a + ":8081\"}\n"
	}
	cfg, _, err := Parse("f", []byte(change(t, "vip:\n", "vip:\n  gateway: 10.0.0.1\n")+more), lab())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range cfg.VIP.Neighbours {
		got = append(got, a.String())
	}
	// Neither loopback, peer, gateway, VIP, nor a family that no VIP has; none twice; eight at most.
	if want := "10.0.1.21 10.0.1.22 10.0.1.1 10.0.1.2 10.0.1.3 10.0.1.4 10.0.1.5 10.0.1.6"; strings.Join(got, " ") != want {
		t.Errorf("neighbours = %v, want %s", got, want)
	}
}
