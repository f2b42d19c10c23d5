package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// trickle sends n bytes of a body, each after a pause.
func trickle(c io.Writer, n int, pause time.Duration, piece string) {
	for range n {
		time.Sleep(pause)
		if _, err := io.WriteString(c, piece); err != nil {
			return
		}
	}
}

func TestBodyThatComesTooSlowlyIs408AndNotTheBackendsFault(t *testing.T) {
	inBubble(t, ListenerConfig{Protocol: HTTP}, answering(okAnswer), func(b *bubble) {
		c := b.dial()
		began := time.Now()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
		b.rest.Go(func() { trickle(c, 1000, time.Second, strings.Repeat("x", 99)) })
		if got := readAll(c); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "slow") {
			t.Errorf("got %q, want 408", got)
		}
		between(t, "refused", began, paceWindow, paceWindow+2*time.Second)
		c.Close()
		b.listener.sessions.wait()
		if st := b.pools.Snapshot()[0].Backends[0]; st.Failures != 0 {
			t.Errorf("%d failures of the backend, want none", st.Failures)
		}
	})
}

func TestHonestBodiesAreNotTooSlow(t *testing.T) {
	slowly := func(c *duplex) { // a backend that takes a byte a second
		r := bufio.NewReaderSize(c, 16)
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		for one := make([]byte, 1); ; time.Sleep(time.Second) {
			if _, err := req.Body.Read(one); err != nil {
				break
			}
		}
		io.WriteString(c, okAnswer)
	}
	for _, tt := range []struct {
		what    string
		cfg     ListenerConfig
		header  string
		backend func(*duplex)
		n       int
		pause   time.Duration
		piece   string
	}{
		{"just quick enough", ListenerConfig{}, "Content-Length: 10000", answering(okAnswer), 100, time.Second, strings.Repeat("x", 100)},
		{"in bursts", ListenerConfig{}, "Content-Length: 30000", answering(okAnswer), 10, 25 * time.Second, strings.Repeat("x", 3000)},
		{"with a slow backend", ListenerConfig{}, "Content-Length: 300", slowly, 300, 0, "x"},
		{"a stream", ListenerConfig{}, "Transfer-Encoding: chunked", answering(okAnswer), 10, 20 * time.Second, "1\r\nx\r\n"},
		{"without a bound", ListenerConfig{MinRate: -1}, "Content-Length: 10", answering(okAnswer), 10, 20 * time.Second, "x"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			tt.cfg.Protocol = HTTP
			inBubble(t, tt.cfg, tt.backend, func(b *bubble) {
				c := b.dial()
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\nConnection: close\r\n\r\n", tt.header)
				b.rest.Go(func() {
					trickle(c, tt.n, tt.pause, tt.piece)
					if strings.Contains(tt.header, "chunked") {
						io.WriteString(c, "0\r\n\r\n")
					}
				})
				if got := readAll(c); !strings.HasSuffix(got, "ok") {
					t.Errorf("got %q, want the answer", got)
				}
				c.Close()
			})
		})
	}
}
