package configs

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/health"
)

// probes is what a health section of a pool means, and what else the pool says.
func probes(t *testing.T, section, more string) (health.Config, []Warning) {
	t.Helper()
	text := strings.Replace(minimal(t), "health: {type: http, path: /healthz}", "health: {"+section+"}"+more, 1)
	if text == minimal(t) {
		t.Fatal("nothing to replace")
	}
	cfg, warnings, err := Parse("f", []byte(text), Host{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Pools[0].Health, warnings
}

func TestEveryTypeOfProbeCanBeWritten(t *testing.T) {
	usual := health.Config{Interval: time.Second, FastInterval: 250 * time.Millisecond, Timeout: 500 * time.Millisecond, Rise: 2, Fall: 3}
	with := func(change func(*health.Config)) health.Config {
		c := usual
		change(&c)
		return c
	}
	ok := []health.StatusRange{{From: 200, To: 399}}
	for _, c := range []struct {
		section, more string
		want          health.Config
	}{
		{`type: tcp, send: "PING\r\n", expect: "+PONG"`, "", with(func(c *health.Config) {
			c.Type, c.Send, c.Receive = health.TCP, "PING\r\n", "+PONG"
		})},
		{`type: tcp, send: "\x00\x7f"`, "", with(func(c *health.Config) { c.Type, c.Send = health.TCP, "\x00\x7f" })},
		{"type: tls, tls_server_name: WWW.example.org, expect: ok", "", with(func(c *health.Config) {
			c.Type, c.TLS, c.TLSServerName, c.Receive = health.TLS, true, "www.example.org", "ok"
		})},
		{`type: https, host: "a.example:8443", headers: ["X-Forwarded-Proto: https", "X-A: b:c"]`, "", with(func(c *health.Config) {
			c.Type, c.TLS, c.Host, c.TLSServerName, c.Path, c.Method, c.Expect = health.HTTPS, true, "a.example:8443", "a.example", "/", "GET", ok
			c.Headers = []health.Header{{Name: "X-Forwarded-Proto", Value: "https"}, {Name: "X-A", Value: "b:c"}}
		})},
		{"type: grpc, service: shop.Orders, port: 9000", "", with(func(c *health.Config) { c.Type, c.Service, c.Port = health.GRPC, "shop.Orders", 9000 })},
		{"type: grpc, tls: true", "", with(func(c *health.Config) { c.Type, c.TLS = health.GRPC, true })},
		{"type: exec, command: [/bin/check, -v], run_as: probe", "", with(func(c *health.Config) {
			c.Type, c.Command, c.RunAs = health.Exec, []string{"/bin/check", "-v"}, "probe"
			c.Interval, c.FastInterval, c.Timeout = 5*time.Second, 1250*time.Millisecond, 2*time.Second
		})},
		// What is not said about certificates is as for the connections of clients.
		{"type: https", "\n    tls: {server_name: a.example, ca_file: /ca.pem, cert_file: /me.pem}", with(func(c *health.Config) {
			c.Type, c.TLS, c.TLSServerName, c.TLSCAFile, c.TLSCertFile, c.TLSKeyFile = health.HTTPS, true, "a.example", "/ca.pem", "/me.pem", "/me.pem"
			c.Path, c.Method, c.Expect = "/", "GET", ok
		})},
		{"type: tls, tls_ca_file: /other.pem", "\n    tls: {insecure: true}", with(func(c *health.Config) {
			c.Type, c.TLS, c.TLSCAFile = health.TLS, true, "/other.pem"
		})},
		{"type: tls, tls_insecure: true", "\n    tls: {ca_file: /ca.pem}", with(func(c *health.Config) {
			c.Type, c.TLS, c.TLSInsecure, c.TLSCAFile = health.TLS, true, true, "/ca.pem"
		})},
		{"type: tcp", "\n    tls: {ca_file: /ca.pem}", with(func(c *health.Config) { c.Type = health.TCP })},
	} {
		got, _ := probes(t, c.section, c.more)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s%s:\n got %+v\nwant %+v", c.section, c.more, got, c.want)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", c.section, err)
		}
	}
}
