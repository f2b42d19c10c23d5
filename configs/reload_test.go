package configs

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	cfg, _, err := Parse("tandem.yaml", []byte(text), lab())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestWhatCannotBeChangedWhileTheNodeRunsIsRefusedAtItsPlace(t *testing.T) {
	file := minimal(t)
	running := parsed(t, file)
	const together = ", one node after the other, the standby first"
	for _, c := range []struct{ from, to, key, at, more string }{
		{"node: lb1", "node: lb7", "node", "lb7", ""},
		{"interface: eth0", "interface: eth1", "vip.interface", "eth1", ""},
		{"[10.0.0.10]", "[10.0.0.10, 10.0.0.9]", "vip.addresses", "addresses: [10.0.0.10, 10", together},
		{"vip:", "state_dir: /srv/tandem\nvip:", "state_dir", "/srv", ""},
		{"cluster:", "cluster:\n  failover: 300ms", "cluster.failover", "300ms", together},
		{"cluster:", "cluster:\n  paths: [{bind: \"192.168.9.1:7947\", peers: [\"192.168.9.2:7947\"]}]", "cluster.paths", "paths:", ""},
	} {
		next := change(t, c.from, c.to)
		_, _, err := ParseNext("tandem.yaml", []byte(next), lab(), running)
		line := strings.Count(next[:strings.Index(next, c.at)], "\n") + 1
		col := strings.Index(strings.Split(next, "\n")[line-1], c.at) + 1
		want := fmt.Sprintf("tandem.yaml:%d:%d: %s: cannot be changed while the node runs; restart this node for it (a leader hands the VIP over first: systemctl restart tandem)%s", line, col, c.key, c.more)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", c.to, err, want)
		}
	}
	if _, _, err := ParseNext("tandem.yaml", []byte(strings.Replace(file, "node: lb1", "", 1)), lab(), running); err != nil {
		t.Errorf("the host's name is the same: %v", err)
	}
}

func TestDiffSaysWhatIsOther(t *testing.T) {
	file, err := os.ReadFile("examples/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	was := parsed(t, string(file))
	if d := Diff(was, parsed(t, string(file))); len(d) != 0 {
		t.Errorf("the same file differs: %v", d)
	}
	base := minimal(t)
	running := parsed(t, base)
	for _, c := range []struct {
		from, to string
		want     []string
	}{
		{"    - name: web\n", "    - name: web\n", nil},
		{"pools:\n  - name: web\n", "pools:\n  - name: web\n    balance: least-conn\n    slow_start: 5s\n", []string{"~ pool web: balance round-robin -> least-conn, slow_start 0s -> 5s"}},
		{"path: /healthz", "path: /ready, fall: 5", []string{"~ pool web: health.fall 3 -> 5, health.path /healthz -> /ready"}},
		{"name: web2, address: \"10.0.1.22:8080\"", "name: web3, address: \"10.0.1.22:8080\"", []string{"+ backend web/web3", "- backend web/web2"}},
		{"address: \"10.0.1.22:8080\"", "address: \"10.0.1.29:8080\", weight: 5", []string{"~ backend web/web2: address 10.0.1.22:8080 -> 10.0.1.29:8080, weight 1 -> 5"}},
		{"protocol: http,", "protocol: http, routes: [{name: old, path_prefixes: [/old], respond: {status: 410}}],", []string{"~ listener web: routes changed (+old)"}},
		{"name: web, bind", "name: front, bind", []string{"+ listener front", "- listener web"}},
		{"cluster:\n", "drain: 5s\nlog: {level: debug}\ncluster:\n  priority: 120\n", []string{"~ drain: 30s -> 5s", "~ log.level: info -> debug", "~ cluster.priority: 100 -> 120"}},
	} {
		next := strings.Replace(base, c.from, c.to, 1)
		if next == base && c.want != nil {
			t.Errorf("%q is not in the file:\n%s", c.from, base)
			continue
		}
		var got []string
		for _, d := range Diff(running, parsed(t, next)) {
			got = append(got, d.String())
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: %q, want %q", c.to, got, c.want)
		}
	}
}
