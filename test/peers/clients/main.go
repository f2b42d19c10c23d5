// Command clients has programs that many people use talk through the proxy: curl, by HTTP/1.1 and HTTP/2, with TLS and without; h2load; and
// Python's websockets. There are no known deviations. See `make peers`.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"context"
	_ "embed"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/certs"
	"github.com/tandem-lb/tandem/test/peers/stand"
)

//go:embed websockets.py
var script string

func main() { stand.Main(run) }

// python is Debian's: others lack its packages.
const python = "/usr/bin/python3"

// way is one way to speak to the proxy.
type way struct {
	name, url string
	curl      []string
	h2load    []string
	version   string // as curl tells it
}

func run(s *stand.Stand) error {
	plain, secure, ws, wsSecure, wsBackend, err := five()
	if err != nil {
		return err
	}
	backend, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Serve(backend, serve)
	cert, key, err := s.Certificate()
	if err != nil {
		return err
	}
	file, err := s.File("talk.py", script)
	if err != nil {
		return err
	}
	if err := s.Start(wsBackend, python, file, "serve", fmt.Sprint(wsBackend.Port())); err != nil {
		return err
	}
	ended := &proxy.TLS{Certificates: []certs.Files{{Cert: cert, Key: key}}}
	if _, err := s.Proxy(proxy.Config{Listeners: []proxy.ListenerConfig{
		{Name: "plain", Bind: plain, Protocol: proxy.HTTP, Pool: "web", H2C: true},
		{Name: "secure", Bind: secure, Protocol: proxy.HTTP, Pool: "web", TLS: ended},
		{Name: "ws", Bind: ws, Protocol: proxy.HTTP, Pool: "ws"},
		{Name: "wss", Bind: wsSecure, Protocol: proxy.HTTP, Pool: "ws", TLS: ended},
	}}, stand.Pool("web", backend.Addr().(*net.TCPAddr).AddrPort()), stand.Pool("ws", wsBackend)); err != nil {
		return err
	}
	body := strings.Repeat("0123456789abcdef", 200_000)
	upload, err := s.File("upload", body)
	if err != nil {
		return err
	}
	for _, w := range []way{
		{"http/1.1", "http://" + plain.String(), []string{"--http1.1"}, []string{"--h1"}, "1.1"},
		{"h2c", "http://" + plain.String(), []string{"--http2-prior-knowledge"}, []string{"-p", "h2c"}, "2"},
		{"https/1.1", fmt.Sprintf("https://localhost:%d", secure.Port()), []string{"--http1.1", "--cacert", cert}, []string{"--h1"}, "1.1"},
		{"h2", fmt.Sprintf("https://localhost:%d", secure.Port()), []string{"--cacert", cert}, nil, "2"},
	} {
		for _, c := range checks(s, upload, body) {
			if c.only1 && w.version != "1.1" || c.not == w.name {
				continue
			}
			s.Check("curl "+w.name+": "+c.name, curl(w, c))
		}
		s.Check("h2load "+w.name, h2load(w))
	}
	for _, url := range []string{"ws://" + ws.String(), fmt.Sprintf("wss://localhost:%d", wsSecure.Port())} {
		out, err := stand.Run(time.Minute, python, file, "check", url, cert)
		fmt.Print(out)
		s.Check("websockets "+strings.TrimRight(url, "0123456789"), err)
	}
	return nil
}

func five() (a, b, c, d, e netip.AddrPort, err error) {
	for _, p := range []*netip.AddrPort{&a, &b, &c, &d, &e} {
		if *p, err = stand.Free("127.0.0.1"); err != nil {
			return
		}
	}
	return
}

func h2load(w way) error {
	out, err := stand.Run(time.Minute, "h2load", append(w.h2load, "-n", "4000", "-c", "8", "-m", "32", w.url+"/file/10000")...)
	if err != nil || !strings.Contains(out, "4000 succeeded, 0 failed, 0 errored, 0 timeout") || !strings.Contains(out, "status codes: 4000 2xx") {
		return errors.Join(errors.New(out), err)
	}
	return nil
}

func sum(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
