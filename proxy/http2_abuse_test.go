package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	x "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// fields encodes names and values in turn as HPACK has them, without a table.
func fields(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSizeLimit(0)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b.Bytes()
}

// getBlock encodes the header of a GET, with more behind it.
func getBlock(more ...string) []byte {
	return fields(append([]string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "x"}, more...)...)
}

// openStream opens a stream.
func openStream(t *testing.T, f *x.Framer, id uint32, end bool, block []byte) {
	t.Helper()
	if err := f.WriteHeaders(x.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: end, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
}

func TestHTTP2FloodsEndTheConnection(t *testing.T) {
	backend := web(t, func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil { // net/http sees that nobody waits only behind the body
			<-r.Context().Done()
		}
	})
	headers := func(f *x.Framer, id uint32, end bool) error {
		return f.WriteHeaders(x.HeadersFrameParam{StreamID: id, BlockFragment: getBlock(), EndStream: end, EndHeaders: true})
	}
	for _, c := range []struct {
		what  string
		told  string // in the log; empty: one of several reasons, by which comes first
		first func(f *x.Framer) error
		again func(f *x.Framer, i uint32) error
	}{
		{what: "pings", told: "pings", again: func(f *x.Framer, _ uint32) error { return f.WritePing(false, [8]byte{}) }},
		{what: "settings", told: "settings", again: func(f *x.Framer, _ uint32) error { return f.WriteSettings() }},
		{what: "resets", again: func(f *x.Framer, i uint32) error {
			if err := headers(f, 2*i+1, true); err != nil {
				return err
			}
			return f.WriteRSTStream(2*i+1, x.ErrCodeCancel)
		}},
		{what: "streams above the limit", told: "streams that had to be refused", again: func(f *x.Framer, i uint32) error { return headers(f, 2*i+1, true) }},
		{
			what: "resets that we are made to send",
			again: func(f *x.Framer, i uint32) error {
				if err := headers(f, 2*i+1, true); err != nil {
					return err
				}
				return f.WriteWindowUpdate(2*i+1, 1<<31-1) // above what a window may have
			},
		},
		{
			what: "empty data", told: "empty data",
			first: func(f *x.Framer) error { return headers(f, 1, false) },
			again: func(f *x.Framer, _ uint32) error { return f.WriteData(1, false, nil) },
		},
		{what: "window updates", told: "window updates", again: func(f *x.Framer, _ uint32) error { return f.WriteWindowUpdate(0, 1) }},
		{what: "unknown frames", told: "frames that mean nothing", again: func(f *x.Framer, _ uint32) error { return f.WriteRawFrame(0xbe, 0, 0, nil) }},
		{
			what: "empty continuations", told: "headers in too many pieces",
			first: func(f *x.Framer) error { return f.WriteHeaders(x.HeadersFrameParam{StreamID: 1, EndStream: true}) },
			again: func(f *x.Framer, _ uint32) error { return f.WriteContinuation(1, false, nil) },
		},
		{
			what: "continuations", told: "a header without end",
			first: func(f *x.Framer) error { return f.WriteHeaders(x.HeadersFrameParam{StreamID: 1, EndStream: true}) },
			again: func(f *x.Framer, _ uint32) error {
				return f.WriteContinuation(1, false, fields("a", strings.Repeat("x", 8000)))
			},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := h2cLab(t, backend)
			f, _ := l.raw()
			go func() {
				if c.first != nil && c.first(f) != nil {
					return
				}
				for i := uint32(0); i < 20_000; i++ {
					if c.again(f, i) != nil {
						return
					}
				}
			}()
			until(t, f, func(fr x.Frame) bool {
				g, ok := fr.(*x.GoAwayFrame)
				return ok && g.ErrCode == x.ErrCodeEnhanceYourCalm
			})
			if want := "clients of HTTP/2 sent away"; !strings.Contains(l.log.String(), want) || !strings.Contains(l.log.String(), c.told) {
				t.Errorf("the log does not tell of %s", c.told)
			}
		})
	}
}

// TestHTTP2WindowsOfAByteArePaidFor takes an answer a byte at a time, which costs us a frame for each.
func TestHTTP2WindowsOfAByteArePaidFor(t *testing.T) {
	l := h2cLab(t, web(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 60_000)) }))
	f, _ := l.raw()
	if err := f.WriteSettings(x.Setting{ID: x.SettingInitialWindowSize, Val: 1}); err != nil {
		t.Fatal(err)
	}
	openStream(t, f, 1, true, getBlock())
	until(t, f, func(fr x.Frame) bool {
		switch fr := fr.(type) {
		case *x.DataFrame:
			_ = f.WriteWindowUpdate(1, 1)
		case *x.GoAwayFrame:
			return fr.ErrCode == x.ErrCodeEnhanceYourCalm
		}
		return false
	})
}

// TestHTTP2SignalsWithAnswersAreFree is what gRPC does on a fast network: a ping and window updates with each answer.
func TestHTTP2SignalsWithAnswersAreFree(t *testing.T) {
	l := h2cLab(t, web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	f, _ := l.raw()
	for i := range uint32(budgetOfSignals) {
		id := 2*i + 1
		openStream(t, f, id, true, getBlock())
		for range 2 {
			if err := f.WritePing(false, [8]byte{}); err != nil {
				t.Fatal(err)
			}
			if err := f.WriteWindowUpdate(0, 5); err != nil {
				t.Fatal(err)
			}
		}
		until(t, f, func(fr x.Frame) bool {
			if g, ok := fr.(*x.GoAwayFrame); ok {
				t.Fatalf("sent away after %d requests: %v", i, g)
			}
			d, ok := fr.(*x.DataFrame)
			return ok && d.StreamID == id && d.StreamEnded()
		})
	}
}

// budgetOfSignals is, times four, more than a client may say without answers.
const budgetOfSignals = 1000

func TestHTTP2RefusesStreamsAboveTheLimit(t *testing.T) {
	let := make(chan struct{})
	l := h2cLab(t, web(t, func(w http.ResponseWriter, _ *http.Request) { <-let; io.WriteString(w, "ok") }))
	f, _ := l.raw()
	for i := range uint32(maxStreams + 1) {
		openStream(t, f, 2*i+1, true, getBlock())
	}
	until(t, f, func(fr x.Frame) bool {
		r, ok := fr.(*x.RSTStreamFrame)
		return ok && r.StreamID == 2*maxStreams+1 && r.ErrCode == x.ErrCodeRefusedStream
	})
	close(let)
	for range maxStreams { // the others have their answers
		until(t, f, func(fr x.Frame) bool { d, ok := fr.(*x.DataFrame); return ok && d.StreamEnded() })
	}
}

func TestHTTP2HeadersHaveBounds(t *testing.T) {
	l := h2cLab(t, web(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	f, _ := l.raw()
	openStream(t, f, 1, true, getBlock("a", strings.Repeat("x", 15_000)))
	if got := answerOf(t, f, 1); got.status != "200" {
		t.Errorf("15,000 bytes: %+v", got)
	}
	// A small header that is large once it is decoded: an entry of the table, many times.
	b := bytes.NewBuffer([]byte{0x3f, 0xe1, 0x1f}) // 4,096 bytes of table again
	e := hpack.NewEncoder(b)
	for _, h := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}, {Name: ":authority", Value: "x"}} {
		_ = e.WriteField(h)
	}
	for range 50 {
		_ = e.WriteField(hpack.HeaderField{Name: "a", Value: strings.Repeat("x", 3000)})
	}
	openStream(t, f, 3, true, b.Bytes())
	if got := answerOf(t, f, 3); got.status != "431" {
		t.Errorf("150,000 bytes by a table: %+v", got)
	}
	openStream(t, f, 5, true, getBlock())
	if got := answerOf(t, f, 5); got.status != "200" {
		t.Errorf("the next one: %+v", got)
	}
}

// TestHTTP2SlowReaderBlocksNobody leaves answers in some streams, and bodies that no backend reads in another.
func TestHTTP2SlowReaderBlocksNobody(t *testing.T) {
	let := make(chan struct{})
	l := h2cLab(t, web(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Write(make([]byte, 4<<20))
		case "/deaf":
			<-let
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}))
	defer close(let)
	f, _ := l.raw()
	_ = f.WriteWindowUpdate(0, 1<<30)
	for id := uint32(1); id < 16; id += 2 {
		openStream(t, f, id, true, fields(":method", "GET", ":scheme", "http", ":path", "/large", ":authority", "x"))
	}
	openStream(t, f, 17, false, fields(":method", "POST", ":scheme", "http", ":path", "/deaf", ":authority", "x"))
	for range 10 {
		if err := f.WriteData(17, false, make([]byte, 16<<10)); err != nil {
			t.Fatal(err)
		}
	}
	openStream(t, f, 19, false, fields(":method", "POST", ":scheme", "http", ":path", "/", ":authority", "x"))
	for i := range 4 {
		if err := f.WriteData(19, i == 3, make([]byte, 16<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if got := answerOf(t, f, 19); got.status != "200" || got.body != "65536" {
		t.Errorf("%+v", got)
	}
}

func TestHTTP2PartialHeaderHasATime(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP, H2C: true, HeaderTimeout: 50 * time.Millisecond}, web(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}))
	f, _ := l.raw()
	openStream(t, f, 1, true, getBlock()) // so that the connection is not idle
	if err := f.WriteHeaders(x.HeadersFrameParam{StreamID: 3, EndStream: true}); err != nil {
		t.Fatal(err)
	}
	until(t, f, func(fr x.Frame) bool { _, ok := fr.(*x.GoAwayFrame); return ok })
}
