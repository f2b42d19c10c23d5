package proxy

import (
	"bufio"
	"io"
	"net/http"
	"testing"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// A websocket may last for days. What its backend has done well counts from the switch on.
func TestOpenWebsocketClearsItsBackendsName(t *testing.T) {
	good := web(t, func(w http.ResponseWriter, r *http.Request) {
		c, b, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if r.URL.Path != "/ws" {
			return // no answer: its fault
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_, _ = b.ReadByte() // until the client goes
	})
	pc := webPool(good, web(t, func(http.ResponseWriter, *http.Request) {}))
	pc.Backends[1].Backup = true
	pc.Ejection = pool.Ejection{After: 2}
	l := newLabOn(t, ListenerConfig{Protocol: HTTP}, pc)
	l.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	ws := l.dial()
	io.WriteString(ws, "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(ws), nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	l.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	if b := l.pools.Snapshot()[0].Backends[0]; b.Failures != 2 || b.Ejected {
		t.Errorf("%+v, want two failures, with a websocket between them, and no ejection", b)
	}
	ws.Close()
}
