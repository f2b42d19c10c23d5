// Command proxyheader exchanges PROXY headers with HAProxy and nginx, in both directions, versions 1 and 2, IPv4 and IPv6: whoever is at
// the end must know the client's address and port. There are no known deviations. See `make peers`.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"text/template"
	"time"

	_ "embed"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/proxyheader"
	"github.com/tandem-lb/tandem/test/peers/stand"
)

var (
	//go:embed haproxy.cfg
	haproxyConfig string
	//go:embed nginx.conf
	nginxConfig string
)

func main() {
	stand.Main(func(s *stand.Stand) error {
		return errors.Join(run(s, "127.0.0.1"), run(s, "::1"))
	})
}

// places are where somebody listens, by name.
type places map[string]netip.AddrPort

// names of all places: those that end the chain, the proxy's listeners in front of them, and those that pass on to it.
func names() []string {
	return []string{
		"haproxy", "nginx", // take headers and tell the client's address
		"haproxy-v1", "haproxy-v2", "nginx-v1", "nginx-v2", // the proxy's listeners, in front of them
		"told",                                                // the proxy's listener that takes headers and passes them on, as v1
		"from-haproxy-v1", "from-haproxy-v2", "from-nginx-v1", // send headers there
		"reader", // reads them
	}
}

func run(s *stand.Stand, host string) error {
	at := places{}
	for _, name := range names() {
		a, err := stand.Free(host)
		if err != nil {
			return err
		}
		at[name] = a
	}
	reader, err := new(net.ListenConfig).Listen(context.Background(), "tcp", at["reader"].String())
	if err != nil {
		return err
	}
	s.Serve(reader, readHeaders)
	if err := proxies(s, at); err != nil {
		return err
	}
	if err := others(s, at); err != nil {
		return err
	}
	for _, name := range []string{"haproxy-v1", "haproxy-v2", "nginx-v1", "nginx-v2"} {
		s.Check(fmt.Sprintf("%s: sent to %s", host, name), known(at[name], "GET / HTTP/1.0\r\n\r\n"))
	}
	for _, name := range []string{"from-haproxy-v1", "from-haproxy-v2", "from-nginx-v1"} {
		s.Check(fmt.Sprintf("%s: received %s", host, name), known(at[name], "x"))
	}
	return nil
}

// proxies starts ours.
func proxies(s *stand.Stand, at places) error {
	trusted := []netip.Prefix{netip.PrefixFrom(at["told"].Addr(), at["told"].Addr().BitLen())}
	cfg := proxy.Config{Listeners: []proxy.ListenerConfig{
		{Name: "told", Bind: at["told"], Protocol: proxy.TCP, Pool: "told", ProxyProtocol: true, TrustedProxies: trusted},
	}}
	told := stand.Pool("told", at["reader"])
	told.ProxyProtocol = proxyheader.V1
	pools := []pool.Config{told}
	for _, name := range []string{"haproxy", "nginx"} {
		for _, version := range []proxyheader.Version{proxyheader.V1, proxyheader.V2} {
			p := stand.Pool(name+"-"+string(version), at[name])
			p.ProxyProtocol = version
			pools = append(pools, p)
			cfg.Listeners = append(cfg.Listeners, proxy.ListenerConfig{Name: p.Name, Bind: at[p.Name], Protocol: proxy.TCP, Pool: p.Name})
		}
	}
	_, err := s.Proxy(cfg, pools...)
	return err
}

// others starts HAProxy and nginx.
func others(s *stand.Stand, at places) error {
	values := map[string]any{"Dir": s.Dir, "At": at}
	for name, text := range map[string]string{"haproxy.cfg": haproxyConfig, "nginx.conf": nginxConfig} {
		var b strings.Builder
		if err := template.Must(template.New(name).Parse(text)).Execute(&b, values); err != nil {
			return err
		}
		file, err := s.File(name, b.String())
		if err != nil {
			return err
		}
		if name == "haproxy.cfg" {
			err = s.Start(at["haproxy"], "haproxy", "-db", "-f", file)
		} else {
			err = s.Start(at["nginx"], "nginx", "-c", file)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readHeaders tells each client what the PROXY header in front of it says, version 1.
func readHeaders(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		text, _ := bufio.NewReader(c).ReadString('\n')
		var family, from, to, port, toPort string
		_, err = fmt.Sscanf(text, "PROXY %s %s %s %s %s\r\n", &family, &from, &to, &port, &toPort)
		if err != nil {
			fmt.Fprintf(c, "\r\n\r\n%q: %v", text, err)
		}
		fmt.Fprintf(c, "\r\n\r\n%s %s\n", from, port)
		c.Close()
	}
}

// known opens a connection, says something and reads who the end of the chain takes it for.
func known(at netip.AddrPort, say string) error {
	c, err := new(net.Dialer).DialContext(context.Background(), "tcp", at.String())
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // it was read to its end
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, say); err != nil {
		return err
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return fmt.Errorf("%q: %w", b, err)
	}
	_, body, _ := strings.Cut(string(b), "\r\n\r\n")
	own := c.LocalAddr().(*net.TCPAddr).AddrPort()
	if want := fmt.Sprintf("%s %d", own.Addr(), own.Port()); strings.TrimSpace(body) != want {
		return fmt.Errorf("%q, want %q", b, want)
	}
	return nil
}
