package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func parseFile(t *testing.T, file string, host Host) (*Config, []Warning) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, warnings, err := Parse(file, data, host)
	if err != nil {
		t.Fatalf("%s is shipped and is wrong:\n%v", file, err)
	}
	inside(t, data, warnings, nil)
	sound(t, cfg)
	return cfg, warnings
}

func TestReferenceParsesWithoutWarnings(t *testing.T) {
	if _, warnings := parseFile(t, "reference.yaml", lab()); len(warnings) > 0 {
		t.Errorf("warnings:\n%s", told(warnings, nil))
	}
}

// keyLine matches a key of the reference file, which stands on a line of its own or in braces.
var keyLine = regexp.MustCompile(`(?:^|[{,])\s*(?:- )?\{?([a-z0-9_]+):`)

// keysIn lists the general paths of the keys of a file by its indentation, without the parser under test.
func keysIn(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	type level struct {
		indent int
		path   string
	}
	var keys []string
	var levels []level
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(strings.SplitN(line, " #", 2)[0], "\n ")
		body := strings.TrimLeft(line, " -")
		if body == "" || strings.HasPrefix(body, "#") {
			continue
		}
		indent := len(line) - len(body)
		for len(levels) > 0 && levels[len(levels)-1].indent >= indent {
			levels = levels[:len(levels)-1]
		}
		parent := ""
		if len(levels) > 0 {
			parent = levels[len(levels)-1].path
		}
		if strings.HasPrefix(strings.TrimLeft(line, " "), "- ") || strings.HasSuffix(parent, "[]") {
			parent = strings.TrimSuffix(parent, "[]") + "[]"
		}
		first := ""
		for _, m := range keyLine.FindAllStringSubmatch(body, -1) {
			switch {
			case first == "":
				keys = append(keys, join(parent, m[1]))
			case strings.HasPrefix(body, "{"): // - {name: …, address: …}
				keys = append(keys, join(parent, m[1]))
			default: // health: {type: tcp}
				keys = append(keys, join(first, m[1]))
			}
			if first == "" {
				first = join(parent, m[1])
			}
		}
		levels = append(levels, level{indent, join(parent, strings.SplitN(body, ":", 2)[0])})
		if slices.Contains([]string{"listeners", "pools", "backends", "paths", "more", "interfaces", "gateways", "scripts", "processes", "files", "notify", "routes", "headers", "error_pages", "certificates", "sni"}, strings.SplitN(body, ":", 2)[0]) {
			levels[len(levels)-1].path += "[]"
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func TestReferenceHasEveryKeyAndNoOther(t *testing.T) {
	want := knownKeys()
	slices.Sort(want)
	got := keysIn(t, "reference.yaml")
	for _, k := range want {
		if !slices.Contains(got, k) {
			t.Errorf("the parser knows %s, reference.yaml does not document it", k)
		}
	}
	for _, k := range got {
		if !slices.Contains(want, k) {
			t.Errorf("reference.yaml documents %s, the parser does not know it", k)
		}
	}
}

func TestReferenceDocumentsEachKeyBeforeIt(t *testing.T) {
	data, err := os.ReadFile("reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	comment, seen := "", make(map[string]bool)
	for line := range strings.Lines(string(data)) {
		body := strings.TrimSpace(line)
		key := strings.SplitN(strings.TrimPrefix(body, "- "), ":", 2)[0]
		switch {
		case strings.HasPrefix(body, "#"):
			comment += body
			continue
		case body == "" || seen[key] || strings.HasPrefix(key, "{"):
		case comment == "" && !slices.Contains([]string{"log", "cluster", "vip", "admin", "witness", "address"}, key):
			// The sections speak for themselves, witness shares its comment with quorum, address with name.
			t.Errorf("%q has no comment before it", body)
		case comment != "" && !strings.Contains(comment, "efault: ") && !strings.Contains(comment, "Required") && key != "key_file" && key != "health" &&
			!slices.Contains([]string{"listeners", "pools"}, key) && !slices.Contains([]string{"bind", "protocol", "pool"}, key):
			t.Errorf("the comment before %q says neither a default nor Required", body)
		}
		seen[key], comment = true, ""
	}
}

// TestReferenceValuesAreTheDefaults holds what the reference says against what leaving it out does.
func TestReferenceValuesAreTheDefaults(t *testing.T) {
	ref, _ := parseFile(t, "reference.yaml", lab())
	short := `
cluster: {bind: 10.0.0.11, peers: [10.0.0.12], key_file: /etc/tandem/cluster.key, paths: [{bind: 192.168.9.1, peers: [192.168.9.2]}]}
vip:
  interface: eth0
  addresses: [10.0.0.10, 2001:db8::10]
  gateway: 10.0.0.1
  more: [{interface: eth1, addresses: [192.0.2.10], gateway: 192.0.2.1}]
listeners:
  - name: web
    bind: 10.0.0.10:80
    protocol: http
    pool: web
    deny: [10.6.6.0/24]
    allow: [0.0.0.0/0, "::/0"]
    error_pages: [{statuses: [502, 503, 504], file: /etc/tandem/sorry.html}]
    request_id: X-Request-ID
    routes:
      - name: shop
        hosts: [shop.example.org, "*.shop.example.org"]
        paths: /robots.txt
        path_prefixes: [/api, /cart]
        path_regexps: "^/item/[0-9]+$"
        methods: [GET, HEAD, POST]
        headers: [{name: X-Canary, value: "1"}, {name: User-Agent, regexp: ^curl/}]
        scheme: http
        clients: [0.0.0.0/0, "::/0"]
        while_file: /etc/tandem/shop.open
        deny: 10.6.6.0/24
        allow: 10.0.0.0/8
        pool: web
        rewrite: {host: shop.internal}
        request_headers: {set: "X-Env: prod", add: "X-Via: tandem", remove: Cookie}
        response_headers: {set: "Strict-Transport-Security: max-age=31536000", add: "Via: 1.1 tandem", remove: Server}
        max_body: 10MiB
        response_timeout: 2m
        body_timeout: 1m
        tunnel_timeout: 24h
      - {name: moved, path_regexps: "^/old/(.*)$", redirect: {scheme: https, host: www.example.org, path: /new/$1}}
      - {name: legacy, path_prefixes: /legacy, redirect: {path_prefix: /archive}}
      - {name: v1, path_prefixes: /v1, rewrite: {path_prefix: /}}
      - {name: user, path_regexps: "^/~([a-z]+)/?$", rewrite: {path: /users/$1}}
      - {name: maintenance, while_file: /etc/tandem/maintenance, respond: {status: 503, file: /etc/tandem/maintenance.html, content_type: text/html; charset=utf-8}}
      - {name: ping, paths: /ping, respond: {status: 200, body: pong}}
  - name: secure
    bind: 10.0.0.10:443
    protocol: http
    pool: web
    tls: {certificates: [{cert_file: /etc/tandem/www.example.org.pem, key_file: /etc/tandem/www.example.org.key}], client_ca_file: /etc/tandem/clients-ca.pem}
  - {name: by-name, bind: 10.0.0.10:8443, protocol: tcp, tls: passthrough, sni: [{names: [www.example.org, "*.example.net"], pool: web}, {names: rpc.example.org, pool: rpc}, {names: cache.example.org, pool: cache}]}
  - {name: postgres, bind: 10.0.0.10:5432, protocol: tcp, pool: postgres, idle_timeout: never}
  - {name: dns, bind: 10.0.0.10:53, protocol: udp, pool: dns, responses: 1, max_conns_per_client: 1000, rate_limit: 500}
  - {name: web6, bind: "[2001:db8::10]:80", protocol: http, pool: web}
  - {name: inside, bind: 192.0.2.10:5432, protocol: tcp, pool: postgres}
resolver: {servers: [10.0.0.53, 10.0.0.54]}
access_log: {file: /var/log/tandem/access.log}
pools:
  - name: web
    tls: {server_name: www.example.org, ca_file: /etc/tandem/backends-ca.pem, cert_file: /etc/tandem/to-backends.pem, key_file: /etc/tandem/to-backends.key}
    health: {type: http, port: 8081, host: www.example.org, expect_body: ok, tls: true, headers: "X-Forwarded-Proto: https"}
    slow_start: 30s
    panic: 30%
    keep_at_least: 1
    max_requests: 2000
    sticky: {cookie: srv}
    backends:
      - {name: web1, address: 10.0.1.21:8080, max_conns: 500}
      - {name: web2, address: 10.0.1.22:8080, weight: 2}
  - name: postgres
    balance: source-hash
    bounded_load: 150%
    proxy_protocol: v2
    backends: [{name: pg1, address: "[2001:db8:1::31]:5432"}]
  - name: rpc
    health: {type: grpc, service: shop.Orders}
    backends: [{name: rpc, address: rpc.example.org:50051, addresses: 4}]
  - name: cache
    health: {send: "PING\r\n", expect: +PONG}
    backends: [{name: redis1, address: "10.0.1.61:6379"}]
  - name: dns
    health: {type: exec, command: [/usr/local/bin/check-dns, --fast], run_as: nobody}
    backends: [{name: dns1, address: "10.0.1.41:53"}]
track:
  interfaces: [{interface: eth1}]
  gateways: [{interface: eth0}]
  scripts: [{name: uplink, command: [/usr/local/bin/check-uplink, --fast], run_as: nobody}]
  processes: [{process: unbound, pidfile: /run/unbound.pid}]
  files: [{path: /etc/tandem/drain, exists: false}, {path: /run/uplink/state, contains: active}]
notify: [{on: [leader, standby], command: [/usr/local/bin/on-change, --quiet], run_as: nobody}]
`
	cfg, _, err := Parse("short", []byte(short), lab())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(cfg, ref) {
		t.Errorf("without what has defaults:\n%+v\nthe reference:\n%+v", cfg, ref)
	}
}

func TestExamplesParseWithoutWarnings(t *testing.T) {
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d examples (%v)", len(files), err)
	}
	for _, file := range files {
		host := lab()
		host.Addresses, host.Interface = nil, nil // they are for other hosts
		_, warnings := parseFile(t, file, host)
		if filepath.Base(file) == "full.yaml" { // shows a long drain, and says beside it what that needs
			warnings = slices.DeleteFunc(warnings, func(w Warning) bool { return w.Key == "drain" })
		}
		if len(warnings) > 0 {
			t.Errorf("%s has warnings:\n%s", file, told(warnings, nil))
		}
	}
}

func TestMinimalPairFitsTogether(t *testing.T) {
	host := lab()
	host.Addresses, host.Interface = nil, nil
	one, _ := parseFile(t, "examples/minimal-lb1.yaml", host)
	two, _ := parseFile(t, "examples/minimal-lb2.yaml", host)
	if one.Node == two.Node {
		t.Errorf("both are called %s", one.Node)
	}
	if one.Cluster.Bind != two.Cluster.Peers[0] || two.Cluster.Bind != one.Cluster.Peers[0] {
		t.Errorf("%s and %s are not each other's peers", one.Cluster.Bind, two.Cluster.Bind)
	}
	if Hash(one) != Hash(two) {
		t.Errorf("what must be equal on both is not")
	}
}

// readmeBlock is the configuration in the README's quick start.
var readmeBlock = regexp.MustCompile("(?s)```yaml\n(.*?)\n *```")

func TestReadmeShowsTheMinimalFile(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := readmeBlock.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 1 {
		t.Fatalf("README.md has %d blocks of yaml, want the minimal file alone", len(blocks))
	}
	host := lab()
	host.Addresses, host.Interface = nil, nil
	got, _, err := Parse("README.md", []byte(blocks[0][1]), host)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := parseFile(t, "examples/minimal-lb1.yaml", host)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("README.md:\n%+v\nexamples/minimal-lb1.yaml:\n%+v", got, want)
	}
}
