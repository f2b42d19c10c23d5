package mux

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tandem-lb/tandem/proxy/http1"
)

// Config is what all connections to a backend have in common. All fields are needed.
type Config struct {
	Scheme     string        // http or https
	MaxHeader  int           // bytes of an answer's header, as HPACK counts them
	MaxStreams int           // at a time on one connection, even if the backend lets us have more
	MaxConns   int           // connections
	Idle       time.Duration // how long one without streams is kept
	// Ended is called whenever a connection has ended. It must not block.
	Ended func()
}

const (
	firstWindow   = 65535 // RFC 9113, 6.9.2
	maxWindow     = 1<<31 - 1
	connWindow    = 4 << 20  // bytes of all answers that may be on their way; what has come is counted on its stream alone
	streamWindow  = 64 << 10 // bytes of an answer that may come before they are read, at first
	largestWindow = 1 << 20  // and for those who read faster than the backend sends
	frameSize     = 16 << 10
	maxOut        = 64 << 10  // bytes on their way to the backend before requests wait
	maxUnsent     = 32 << 10  // bytes of a request for which there is no window yet; it holds what a first write may bring
	maxControl    = 256 << 10 // of answers to pings and settings that the backend does not read
	maxID         = 1<<31 - 1
)

const (
	// staleAfter is how long nothing may have come before a new request takes a ping with it.
	staleAfter = time.Second
	// pingAfter is how long nothing may come while requests wait before we ask with a ping.
	pingAfter = 10 * time.Second
	// doubtAfter is how long a ping may be unanswered before new requests go elsewhere, pingLimit before the connection is given up.
	doubtAfter = time.Second
	pingLimit  = 5 * time.Second
	// Servers of gRPC close connections that ask more than three times in five minutes without data between them.
	maxPings   = 2
	pingPeriod = 5*time.Minute + 10*time.Second
)

// Conn is a connection to a backend.
type Conn struct {
	cfg    *Config
	conn   net.Conn
	framer *http2.Framer // reads
	tasks  *sync.WaitGroup

	mu       sync.Mutex // guards what follows, and the streams
	streams  map[uint32]*Stream
	open     int    // streams, with those that have no number yet
	next     uint32 // number of the next stream
	most     uint32 // streams that the backend lets us have at a time
	err      error  // why the connection has ended
	leaving  bool   // the backend takes no new streams
	answered bool   // it has answered something
	rested   time.Time

	send    int64 // window for what we send
	receive int64 // for what we receive
	credit  int64 // to be given back of receive
	first   int64 // window of a new stream, for what we send
	frame   int   // size of frames that the backend takes

	out, spare *bytes.Buffer // to be written; being written
	writing    bool
	control    int // bytes in out that the backend has made us write
	waiting    []*Stream
	writer     *http2.Framer
	enc        *hpack.Encoder
	block      bytes.Buffer // of fields, encoded
	req        http1.Request
	names      map[string]string // of fields, in lower case

	heard  time.Time // when something came
	pinged time.Time // when a ping was sent that is unanswered; else zero
	last   time.Time // when one was sent
	pings  int       // since data came
}

// begin begins HTTP/2 on a connection on which nothing was said yet, and waits for the backend to begin it, too, until then at most. It
// takes conn over. What it starts is in tasks.
func begin(conn net.Conn, cfg *Config, until time.Time, tasks *sync.WaitGroup) (*Conn, error) {
	c := &Conn{
		cfg: cfg, conn: conn, tasks: tasks, streams: make(map[uint32]*Stream), next: 1, most: uint32(cfg.MaxStreams),
		send: firstWindow, receive: connWindow, first: firstWindow, frame: frameSize,
		out: new(bytes.Buffer), spare: new(bytes.Buffer), names: make(map[string]string),
	}
	c.framer = http2.NewFramer(nil, bufio.NewReaderSize(conn, 16<<10))
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(frameSize)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.MaxHeaderListSize = uint32(cfg.MaxHeader)
	c.writer = http2.NewFramer((*outbox)(c), nil)
	c.enc = hpack.NewEncoder(&c.block)
	c.out.WriteString(http2.ClientPreface)
	_ = c.writer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(cfg.MaxHeader)},
	)
	_ = c.writer.WriteWindowUpdate(0, connWindow-firstWindow)
	if err := c.greet(until); err != nil {
		_ = conn.Close()
		return nil, err
	}
	tasks.Go(c.read)
	return c, nil
}

// greet says what we have to say first, and reads the backend's settings.
func (c *Conn) greet(until time.Time) error {
	_ = c.conn.SetDeadline(until)
	if _, err := c.conn.Write(c.out.Bytes()); err != nil {
		return fmt.Errorf("begin HTTP/2: %w", err)
	}
	c.out.Reset()
	f, err := c.framer.ReadFrame()
	if err != nil {
		return fmt.Errorf("%w: %w", errNotHTTP2, err)
	}
	s, ok := f.(*http2.SettingsFrame)
	if !ok || s.IsAck() {
		return errNotHTTP2
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = time.Now()
	c.rested = c.heard
	if err := c.settings(s); err != nil {
		return fmt.Errorf("%w: %w", errNotHTTP2, err)
	}
	_ = c.conn.SetDeadline(time.Time{})
	c.writeSoon()
	return nil
}

// take returns a new stream if there is room for one, else nil. A request may take nothing of the backend's windows for as long as stall.
func (c *Conn) take(stall time.Duration, now time.Time) *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.willing() || c.open >= int(min(c.most, uint32(c.cfg.MaxStreams))) || !c.pinged.IsZero() && now.Sub(c.pinged) >= doubtAfter {
		return nil
	}
	c.open++
	if now.Sub(c.heard) >= staleAfter {
		c.ping(now)
	}
	s := &Stream{conn: c, stall: stall, length: -1, window: streamWindow, receive: streamWindow}
	s.changed.L = &c.mu
	return s
}

// willing reports whether the connection takes new streams.
func (c *Conn) willing() bool { return c.err == nil && !c.leaving && c.next < maxID }

// ping asks whether the backend is still there, unless it was asked just now or too often.
func (c *Conn) ping(now time.Time) {
	if !c.pinged.IsZero() || c.pings >= maxPings && now.Sub(c.last) < pingPeriod {
		return
	}
	c.pinged, c.last = now, now
	c.pings++
	_ = c.writer.WritePing(false, [8]byte{'t', 'a', 'n', 'd', 'e', 'm'})
	c.writeSoon()
}

// look gives up a backend that does not answer pings, asks one that has been silent, and reports since when the connection has had no
// stream; the time is zero if it has some. over says that the connection has ended or will take no more streams.
func (c *Conn) look(now time.Time) (rested time.Time, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.rested, true
	case !c.pinged.IsZero() && now.Sub(c.pinged) >= pingLimit:
		c.end(ErrSilent)
		return c.rested, true
	case c.open > 0 && now.Sub(c.heard) >= pingAfter:
		c.ping(now)
	}
	if c.open > 0 {
		return time.Time{}, false
	}
	return c.rested, !c.willing()
}

// Abandon ends the connection, for the backend behind it has vanished.
func (c *Conn) Abandon(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(err)
}

// close says goodbye and ends a connection without streams.
func (c *Conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(lastWord))
	_ = c.writer.WriteGoAway(0, http2.ErrCodeNo, nil)
	c.leaving = true
	c.writeSoon()
}

// leave takes no more streams, and ends the connection with the last one.
func (c *Conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.leaving = true
		c.endIfLeft()
	}
}

// end ends the connection and all its streams.
func (c *Conn) end(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	for _, s := range c.streams {
		s.fail(&LostError{err})
	}
	clear(c.streams)
	c.waiting = nil
	_ = c.conn.Close()
	c.cfg.Ended()
}

// forget gives up the place of a stream.
func (c *Conn) forget(s *Stream) {
	if s.forgotten {
		return
	}
	s.forgotten = true
	delete(c.streams, s.id)
	if c.open--; c.open == 0 {
		c.rested = time.Now()
		c.endIfLeft()
	}
}

// endIfLeft ends a connection that the backend wants to close and that nobody needs.
func (c *Conn) endIfLeft() {
	if c.leaving && c.open == 0 && c.out.Len() == 0 && !c.writing {
		c.end(errClosed)
	}
}
