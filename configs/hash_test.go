package configs

import (
	"strings"
	"testing"
)

func hashOf(t *testing.T, text string) uint64 {
	t.Helper()
	cfg, _, err := Parse("f", []byte(text), Host{})
	if err != nil {
		t.Fatal(err)
	}
	return Hash(cfg)
}

func full(t *testing.T) string {
	t.Helper()
	return strings.Replace(minimal(t), "    health:", "    balance: least-conn\n    health:", 1)
}

func TestHashIsOfWhatMustBeEqual(t *testing.T) {
	base := hashOf(t, full(t))
	for _, pair := range [][2]string{
		{"cluster:\n", "cluster:\n  name: other\n"},
		{"cluster:\n", "cluster:\n  failover: 1s\n"},
		{"vip:\n", "vip:\n  lease: 4s\n"},
		{"[10.0.0.10]", "[10.0.0.10, 10.0.0.9]"},
		{"[10.0.0.10]", "[10.0.0.10/24]"},
		{"10.0.0.10:80", "10.0.0.10:81"},
		{"10.0.0.10:80", "10.0.0.11:80"},
		{"protocol: http", "protocol: tcp"},
		{"protocol: http", "protocol: http, max_header: 8KiB"},
		{"protocol: http", "protocol: http, body_timeout: never"},
		{"protocol: http", "protocol: http, trusted_proxies: [10.0.0.0/8]"},
		{"protocol: http", "protocol: http, trusted_proxies: [10.0.0.0/8], proxy_protocol: true"},
		{"protocol: http", "protocol: udp"},
		{"protocol: http", "protocol: http, max_conns: 7"},
		{"protocol: http", "protocol: http, max_conns_per_client: 7"},
		{"protocol: http", "protocol: http, rate_limit: 7"},
		{"protocol: http", "protocol: http, min_rate: 7"},
		{"protocol: http", "protocol: tcp, allow: [10.0.0.0/8]"},
		{"protocol: http", "protocol: tcp, deny: [10.0.0.0/8]"},
		{"protocol: http", "protocol: udp, responses: 1"},
		{"    balance: least-conn", "    balance: least-conn\n    proxy_protocol: v2"},
		{"{name: web,", "{name: www,"},
		{"protocol: http", "protocol: http, max_body: 1MiB"},
		{"protocol: http", "protocol: http, lenient_paths: true, routes: [{name: a}]"},
		{"protocol: http", "protocol: http, routes: [{name: a}]"},
		{"protocol: http", "protocol: http, routes: [{name: a, redirect: {scheme: https}}]"},
		{"protocol: http", "protocol: http, routes: [{name: a, redirect: {scheme: https, host: b}}]"},
		{"protocol: http", "protocol: http, routes: [{name: a, allow: [10.0.0.0/8]}]"},
		{"protocol: http", "protocol: http, routes: [{name: a, response_timeout: 1s}]"},
		{"protocol: http", "protocol: http, routes: [{name: a, response_timeout: 2s}]"},
		{"protocol: http", "protocol: http, error_pages: [{statuses: 503, file: /a}]"},
		{"least-conn", "round-robin"},
		{"/healthz", "/"},
		{"10.0.1.21:8080", "app.internal:8080"},
		{"/healthz", "/healthz, expect_status: 200"},
		{"/healthz", `/healthz, headers: ["X-A: b"]`},
		{"http, path: /healthz", "grpc, service: a"},
		{"http, path: /healthz", "tcp, send: a"},
		{"http, path: /healthz", "tls, expect: a"},
		{"http, path: /healthz", "exec, command: /bin/true"},
		{"/healthz", "/healthz, fall: 9"},
		{"10.0.1.21:8080", "10.0.1.21:8081"},
		{`10.0.1.21:8080"`, `10.0.1.21:8080", weight: 2`},
		{"name: web1", "name: web9"},
		{"least-conn", "p2c"},
		{"least-conn", "least-conn\n    on_down: drain"},
		{"least-conn", "least-conn\n    eject: off"},
		{"least-conn", "least-conn\n    eject: {growth: 3}"},
		{"least-conn", "least-conn\n    retries: off"},
		{"least-conn", "least-conn\n    retries: {budget: 10%}"},
		{"least-conn", "least-conn\n    max_requests: 100"},
		{"least-conn", "least-conn\n    slow_start: 10s"},
		{"least-conn", "least-conn\n    panic: 50%"},
		{"least-conn", "least-conn\n    keep_at_least: 1"},
		{"least-conn", "least-conn\n    sticky: {cookie: srv}"},
		{`10.0.1.21:8080"`, `10.0.1.21:8080", backup: true`},
		{`10.0.1.21:8080"`, `10.0.1.21:8080", max_conns: 7`},
	} {
		if hashOf(t, strings.Replace(full(t), pair[0], pair[1], 1)) == base {
			t.Errorf("the hash is the same with %q", pair[1])
		}
	}
}

func TestHashIsNotOfWhatDiffersByNature(t *testing.T) {
	base := hashOf(t, full(t))
	for _, pair := range [][2]string{
		{"node: lb1", "node: lb2"},
		{"bind: 10.0.0.11", "bind: 10.0.0.13:7000"},
		{"peers: [10.0.0.12]", "peers: [10.0.0.12, 10.0.0.14]"},
		{"key_file: /etc/tandem/cluster.key", "insecure: true"},
		{"cluster:\n", "run_dir: /run/t2\nstate_dir: /srv\nlog: {level: debug}\ncluster:\n  priority: 7\n"},
		{"interface: eth0", "interface: bond0"},
		{"[10.0.0.10]", "[10.0.0.10/32]"},
		{"bind: 10.0.0.11 ", "bind: 10.0.0.11:7946 "},
	} {
		text := strings.Replace(full(t), pair[0], pair[1], 1)
		if text == full(t) {
			t.Fatalf("nothing to replace: %q", pair[0])
		}
		if hashOf(t, text) != base {
			t.Errorf("the hash differs with %q", pair[1])
		}
	}
}

func TestHashIgnoresOrderAndOwnAddresses(t *testing.T) {
	one := strings.Replace(full(t), "[10.0.0.10]", "[10.0.0.10, 10.0.0.9]", 1)
	one = strings.Replace(one, "pools:", "  - {name: local, bind: 10.0.0.11:99, protocol: tcp, pool: web}\npools:", 1)
	two := strings.Replace(full(t), "[10.0.0.10]", "[10.0.0.9, 10.0.0.10]", 1)
	two = strings.Replace(two, "listeners:", "listeners:\n  - {name: local, bind: 10.0.0.12:99, protocol: tcp, pool: web}", 1)
	two = strings.Replace(two, "bind: 10.0.0.11 ", "bind: 10.0.0.12 ", 1)
	two = strings.Replace(two, "peers: [10.0.0.12]", "peers: [10.0.0.11]", 1)
	two = strings.Replace(two, "web1", "w", 1)
	two = strings.Replace(strings.Replace(two, "web2", "web1", 1), "name: w,", "name: web2,", 1)
	two = strings.NewReplacer("10.0.1.21", "10.0.1.22", "10.0.1.22", "10.0.1.21").Replace(two)
	if hashOf(t, one) != hashOf(t, two) {
		t.Errorf("the hashes differ:\n%s\n%s", one, two)
	}
}

func TestHashTellsMaglevWithABoundFromOneWithout(t *testing.T) {
	maglev := strings.Replace(full(t), "least-conn", "maglev", 1)
	if hashOf(t, maglev) == hashOf(t, strings.Replace(maglev, "maglev", "maglev\n    bounded_load: 150%", 1)) {
		t.Error("the hash is the same with bounded_load")
	}
	limited := strings.Replace(full(t), `10.0.1.21:8080"`, `10.0.1.21:8080", max_conns: 7`, 1)
	if hashOf(t, limited) == hashOf(t, strings.Replace(limited, "least-conn", "least-conn\n    queue: {timeout: 1s}", 1)) {
		t.Error("the hash is the same with another queue")
	}
}

// TestHashStaysTheSameBetweenVersions: nodes of two versions compare hashes. If this fails, an upgrade node by node warns of files that are equal.
func TestHashStaysTheSameBetweenVersions(t *testing.T) {
	const want = 0x3a55f906b6b499d8
	if got := hashOf(t, minimal(t)); got != want {
		t.Errorf("Hash = %#x, want %#x", got, uint64(want))
	}
}
