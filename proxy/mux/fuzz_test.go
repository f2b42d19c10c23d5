package mux

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// tape is a backend that says what is on it, whatever it is asked.
type tape struct {
	net.Conn // nil: nothing else is called
	r        *bytes.Reader
	asked    chan struct{} // closed when it may go on behind its settings
	settings int
}

func (c *tape) Read(b []byte) (int, error) {
	if c.settings > 0 {
		n, err := c.r.Read(b[:min(len(b), c.settings)])
		c.settings -= n
		return n, err
	}
	<-c.asked
	return c.r.Read(b)
}

func (c *tape) Write(b []byte) (int, error)      { return len(b), nil }
func (c *tape) Close() error                     { return nil }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

// FuzzBackend has two requests answered by any bytes: nothing crashes, hangs, or keeps more than the windows allow.
func FuzzBackend(f *testing.F) {
	var b bytes.Buffer
	w := http2.NewFramer(&b, nil)
	say := func(frames func()) { b.Reset(); frames(); f.Add(b.Bytes()) }
	say(func() {})
	// :status 200 with a body, and trailers that repeat it.
	say(func() {
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true})
		_ = w.WriteData(1, false, []byte("hello"))
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
	})
	say(func() {
		_ = w.WriteGoAway(1, http2.ErrCodeNo, nil)
		_ = w.WriteRSTStream(1, http2.ErrCodeRefusedStream)
	})
	say(func() {
		_ = w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16384})
		_ = w.WriteWindowUpdate(3, 1<<30)
		_ = w.WritePing(false, [8]byte{})
	})
	f.Fuzz(func(t *testing.T, said []byte) {
		var all bytes.Buffer
		_ = http2.NewFramer(&all, nil).WriteSettings()
		settings := all.Len()
		all.Write(said)
		c := &tape{r: bytes.NewReader(all.Bytes()), asked: make(chan struct{}), settings: settings}
		s := NewSet(Config{Scheme: "http", MaxHeader: 1 << 10, MaxStreams: 2, MaxConns: 1, Idle: time.Hour, Ended: func() {}})
		dial := func() (net.Conn, time.Time, error) { return c, time.Time{}, nil }
		var streams []*Stream
		for _, request := range []string{get, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"} {
			st, err := s.Open(time.Second, false, dial)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(st, request); err != nil {
				t.Fatal(err)
			}
			streams = append(streams, st)
		}
		close(c.asked)
		for _, st := range streams {
			got, _ := io.ReadAll(st)
			if len(got) > 2*len(said)+maxInterims*(1<<10)+1<<12 {
				t.Errorf("%d bytes became %d", len(said), len(got))
			}
			_ = st.Close()
		}
		s.Close()
	})
}
