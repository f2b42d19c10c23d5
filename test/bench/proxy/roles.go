package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/certs"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// serveTandem is the proxy under measurement. ports are those of the web backend and the source, and of its http, https, tcp and udp listeners.
func serveTandem(ctx context.Context, ports, files, profile string) error {
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var addrs []netip.AddrPort
	for p := range strings.SplitSeq(ports, ",") {
		a, err := netip.ParseAddrPort("127.0.0.1:" + p)
		if err != nil {
			return err
		}
		addrs = append(addrs, a)
	}
	if len(addrs) != 6 {
		return fmt.Errorf("six ports are needed, got %q", ports)
	}
	pools := pool.NewSet([]pool.Config{
		{Name: "web", Backends: []pool.BackendConfig{{Name: "b1", Address: addrs[0]}}},
		{Name: "source", Backends: []pool.BackendConfig{{Name: "s1", Address: addrs[1]}}},
	})
	p, err := proxy.New(proxy.Config{
		Drain: time.Second,
		Listeners: []proxy.ListenerConfig{
			{Name: "web", Bind: addrs[2], Protocol: proxy.HTTP, Pool: "web"},
			{Name: "secure", Bind: addrs[3], Protocol: proxy.HTTP, Pool: "web", TLS: &proxy.TLS{Certificates: []certs.Files{
				{Cert: filepath.Join(files, "cert.pem"), Key: filepath.Join(files, "key.pem")},
			}}},
			{Name: "stream", Bind: addrs[4], Protocol: proxy.TCP, Pool: "source"},
			{Name: "datagrams", Bind: addrs[5], Protocol: proxy.UDP, Pool: "source"},
		},
	}, pools, hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr}))
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// serveStock is what one would write with the standard library: httputil.ReverseProxy with a pool of connections
// that is large enough. ports are those of its listener and of the web backend.
func serveStock(ctx context.Context, ports string) error {
	own, backend, _ := strings.Cut(ports, ",")
	transport := &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true}
	s := &http.Server{
		Addr: "127.0.0.1:" + own, ReadHeaderTimeout: 5 * time.Second,
		Handler: &httputil.ReverseProxy{
			Transport: transport,
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "http", Host: "127.0.0.1:" + backend})
				r.SetXForwarded()
			},
		},
	}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serveSource is the backend of streams: it sends without end, or sends back what it gets; datagrams it sends back.
func serveSource(ctx context.Context, port string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	to := l.Addr().(*net.TCPAddr)
	u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: to.IP, Port: to.Port})
	if err != nil {
		return err
	}
	_ = u.SetReadBuffer(4 << 20)
	context.AfterFunc(ctx, func() { l.Close(); u.Close() })
	var echoing sync.WaitGroup
	echoing.Go(func() {
		if err := echo(u); err != nil {
			fmt.Fprintln(os.Stderr, "echo:", err)
		}
	})
	defer echoing.Wait()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go stream(c)
	}
}

func stream(c net.Conn) {
	defer c.Close()
	what := make([]byte, 1)
	if _, err := io.ReadFull(c, what); err != nil {
		return
	}
	if what[0] == 'E' {
		buf := make([]byte, 64)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	buf := make([]byte, 256<<10)
	for {
		if _, err := c.Write(buf); err != nil {
			return
		}
	}
}
