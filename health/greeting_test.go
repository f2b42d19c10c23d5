package health

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
)

func TestProbeBeginsWithItsGreeting(t *testing.T) {
	for _, typ := range []Type{TCP, HTTP} {
		got := make(chan string, 1)
		dial := func(context.Context, netip.AddrPort) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				b := make([]byte, len("PROXY UNKNOWN\r\n"))
				_, _ = io.ReadFull(far, b)
				got <- string(b)
				far.Close()
			}()
			return near, nil
		}
		p := newProber(Target{Address: netip.MustParseAddrPort("192.0.2.1:80"), Config: Config{Type: typ}, Greeting: []byte("PROXY UNKNOWN\r\n")}, dial)
		p.probe(t.Context())
		if s := <-got; s != "PROXY UNKNOWN\r\n" {
			t.Errorf("a probe of type %s begins with %q", typ, s)
		}
	}
}
