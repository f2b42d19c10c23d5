package mux

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// lab is the connections to a backend that says what a test has it say.
type lab struct {
	t        *testing.T
	set      *Set
	settings []http2.Setting // of new connections
	refuse   error           // what dialing ends with
	slow     time.Duration   // how long dialing takes
	mute     bool            // new connections are accepted, and nothing is said on them

	mu    sync.Mutex // guards what follows
	conns []*peer
	ended int
}

// peer is a connection as the backend sees it.
type peer struct {
	*http2.Framer // writes
	t             *testing.T
	conn          net.Conn
	enc           *hpack.Encoder
	block         bytes.Buffer

	mu      sync.Mutex    // guards what follows
	got     []string      // frames
	hang    chan struct{} // closed to read on
	hanging bool
}

// inLab runs f in a bubble of time, and ends all connections after it.
func inLab(t *testing.T, cfg Config, f func(l *lab)) {
	synctest.Test(t, func(t *testing.T) {
		l := &lab{t: t}
		cfg.Scheme, cfg.MaxHeader, cfg.Ended = "http", 16<<10, func() { l.mu.Lock(); l.ended++; l.mu.Unlock() }
		if cfg.MaxStreams == 0 {
			cfg.MaxStreams = 100
		}
		if cfg.MaxConns == 0 {
			cfg.MaxConns = 4
		}
		if cfg.Idle == 0 {
			cfg.Idle = time.Hour
		}
		l.set = NewSet(cfg)
		stop := make(chan struct{})
		var ticking sync.WaitGroup
		ticking.Go(func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case now := <-tick.C:
					l.set.Look(now)
				case <-stop:
					return
				}
			}
		})
		f(l)
		close(stop)
		ticking.Wait()
		l.set.Close()
		for _, p := range l.conns {
			_ = p.conn.Close()
			p.goOn()
		}
		synctest.Wait()
		if l.ended != len(l.conns) && !l.mute {
			t.Errorf("%d of %d connections have ended", l.ended, len(l.conns))
		}
	})
}

func (l *lab) dial() (net.Conn, time.Time, error) {
	time.Sleep(l.slow)
	if l.refuse != nil {
		return nil, time.Time{}, l.refuse
	}
	ours, theirs := net.Pipe()
	p := &peer{Framer: http2.NewFramer(theirs, nil), t: l.t, conn: theirs, hang: make(chan struct{})}
	p.enc = hpack.NewEncoder(&p.block)
	close(p.hang)
	l.mu.Lock()
	l.conns = append(l.conns, p)
	l.mu.Unlock()
	if !l.mute {
		go p.read(l.settings)
	}
	return ours, time.Now().Add(time.Second), nil
}

// read notes what is said to the backend.
func (p *peer) read(settings []http2.Setting) {
	_, _ = io.ReadFull(p.conn, make([]byte, len(http2.ClientPreface)))
	go p.WriteSettings(settings...) // a pipe holds nothing, and the other side is still writing
	r := http2.NewFramer(nil, p.conn)
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		<-p.hung()
		f, err := r.ReadFrame()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.got = append(p.got, describe(f))
		p.mu.Unlock()
	}
}

func (p *peer) hung() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hang
}

// stop makes the backend read no more, after what it reads next.
func (p *peer) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hang, p.hanging = make(chan struct{}), true
}

func (p *peer) goOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hanging {
		close(p.hang)
		p.hanging = false
	}
}

func describe(f http2.Frame) string {
	h := f.Header()
	var b strings.Builder
	fmt.Fprintf(&b, "%v %d", h.Type, h.StreamID)
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		for _, h := range f.Fields {
			fmt.Fprintf(&b, " %s=%s", h.Name, h.Value)
		}
		if f.StreamEnded() {
			b.WriteString(" END")
		}
	case *http2.DataFrame:
		if len(f.Data()) > 40 {
			fmt.Fprintf(&b, " %d bytes", len(f.Data()))
		} else {
			fmt.Fprintf(&b, " %q", f.Data())
		}
		if f.StreamEnded() {
			b.WriteString(" END")
		}
	case *http2.RSTStreamFrame:
		fmt.Fprintf(&b, " %v", f.ErrCode)
	case *http2.GoAwayFrame:
		fmt.Fprintf(&b, " %v", f.ErrCode)
	case *http2.WindowUpdateFrame:
		fmt.Fprintf(&b, " %d", f.Increment)
	}
	return b.String()
}

// heard returns what was said to the backend since the last time, but for settings and windows.
func (p *peer) heard() []string {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	got := slices.DeleteFunc(p.got, func(s string) bool { return strings.HasPrefix(s, "SETTINGS") || strings.HasPrefix(s, "WINDOW") })
	p.got = nil
	return got
}

// expect fails the test unless exactly that was said.
func (p *peer) expect(want ...string) {
	p.t.Helper()
	if got := p.heard(); !slices.Equal(got, want) {
		p.t.Errorf("backend heard\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// headers sends fields, written as name=value.
func (p *peer) headers(id uint32, end bool, fields ...string) {
	p.block.Reset()
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		_ = p.enc.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndStream: end, EndHeaders: true})
	synctest.Wait()
}

func (p *peer) data(id uint32, end bool, b string) {
	_ = p.WriteData(id, end, []byte(b))
	synctest.Wait()
}

// peer returns the n-th connection.
func (l *lab) peer(n int) *peer {
	l.t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if n >= len(l.conns) {
		l.t.Fatalf("%d connections were opened, want more than %d", len(l.conns), n)
	}
	return l.conns[n]
}

func (l *lab) opened() int {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// open opens a stream and asks.
func (l *lab) open(request string) *Stream {
	l.t.Helper()
	s, err := l.set.Open(10*time.Second, false, l.dial)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.WriteString(s, request); err != nil {
		l.t.Fatal(err)
	}
	return s
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// read reads what can be read of an answer now.
func (l *lab) read(s *Stream) (string, error) {
	synctest.Wait()
	_ = s.SetReadDeadline(time.Now().Add(time.Nanosecond))
	b, err := io.ReadAll(s)
	_ = s.SetReadDeadline(time.Time{})
	return string(b), err
}

// waiting reports whether reading would wait.
func (l *lab) waiting(s *Stream) bool {
	got, err := l.read(s)
	var timeout net.Error
	return got == "" && errors.As(err, &timeout) && timeout.Timeout()
}
