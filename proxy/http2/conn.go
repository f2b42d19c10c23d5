package http2

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Preface is what a client begins with.
const Preface = http2.ClientPreface

// Config is what all connections of a listener have in common. All fields are needed.
type Config struct {
	MaxHeader  int           // bytes of a header, as HPACK counts them
	MaxStreams uint32        // at a time
	Idle       time.Duration // how long a connection may have no stream
	Patience   time.Duration // how long a preface may take to come
	Stall      time.Duration // how long a client may take nothing of an answer that is ready
	// Open is called for each stream. serve reads the request from the stream, answers, and closes it; cut ends that early, and may
	// be called at any time.
	Open func(s *Stream) (serve, cut func())
	// Busy is told 1 when the connection has been asked to end, and -1 when it has: meanwhile requests may be on their way.
	Busy func(n int64)
	// Abused is told what a client did that was sent away for it.
	Abused func(what string)
	// Ending reports whether clients should open a new connection for what they want next.
	Ending func() bool
}

const (
	streamWindow = 256 << 10 // bytes of a request's body that may come before they are read
	connWindow   = 1 << 20   // of all together
	firstWindow  = 65535     // RFC 9113, 6.9.2
	maxWindow    = 1<<31 - 1
	maxFrame     = 16 << 10
	maxOut       = 64 << 10  // bytes on their way to the client before streams wait
	maxControl   = 256 << 10 // before nothing more is read from the client
	maxRecent    = 256
	lingerTime   = time.Second
	lingerBytes  = 256 << 10
)

// Conn is a connection of a client.
type Conn struct {
	cfg     *Config
	conn    net.Conn
	r       *bufio.Reader
	framer  *http2.Framer // reads
	budget  budget
	dec     *hpack.Decoder
	header  header // that is coming
	partial bool   // the rest of it is awaited
	abuse   string // why the client is sent away

	mu       sync.Mutex // guards what follows, and the streams
	streams  map[uint32]*Stream
	serving  uint32 // goroutines of streams
	last     uint32 // highest stream of the client
	recent   [maxRecent]uint32
	resets   int
	send     int64 // window for what we send
	receive  int64 // for what we receive
	credit   int64 // to be given back of receive
	first    int64 // window of a new stream, for what we send
	frame    int   // size of frames that the client takes
	earns    int   // pings and window updates that cost nothing
	blocked  int   // streams that wait for a window or for room
	leaving  leaving
	leave    *time.Timer
	out      bytes.Buffer
	enc      *hpack.Encoder
	block    bytes.Buffer // of fields, encoded
	name     []byte
	texts    map[string]string // of answers lately
	writer   *http2.Framer
	wake     *sync.Cond // of the goroutine that writes
	drained  *sync.Cond // of the one that reads
	closing  bool       // write what there is, and then no more
	broken   bool       // nothing can be written
	handlers sync.WaitGroup
}

// leaving is how far the end of the connection has come.
type leaving uint8

const (
	staying leaving = iota
	asked           // the client was asked to open no more streams
	told            // and told which ones count
)

// New returns the connection of a client on which nothing was read yet but what is in front.
func New(conn net.Conn, front []byte, cfg *Config) *Conn {
	c := &Conn{
		cfg: cfg, conn: conn, budget: newBudget(), streams: make(map[uint32]*Stream), texts: make(map[string]string),
		send: firstWindow, receive: connWindow, first: firstWindow, frame: maxFrame,
	}
	c.wake, c.drained = sync.NewCond(&c.mu), sync.NewCond(&c.mu)
	var r io.Reader = conn
	if len(front) > 0 {
		r = io.MultiReader(bytes.NewReader(bytes.Clone(front)), conn)
	}
	c.r = bufio.NewReaderSize(r, 4096)
	c.framer = http2.NewFramer(nil, c.r)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(maxFrame)
	c.dec = hpack.NewDecoder(4096, c.header.add)
	c.dec.SetMaxStringLength(2 * cfg.MaxHeader)
	c.writer = http2.NewFramer(&c.out, nil)
	c.enc = hpack.NewEncoder(&c.block)
	return c
}

// Serve answers until the connection ends, and returns when everything that it started has.
func (c *Conn) Serve() {
	var writing sync.WaitGroup
	writing.Go(c.write)
	code, said := c.read()
	if c.abuse != "" {
		c.cfg.Abused(c.abuse)
	}
	c.mu.Lock()
	if c.leave != nil {
		c.leave.Stop()
	}
	if said && !c.broken {
		_ = c.writer.WriteGoAway(c.last, code, nil)
	}
	var cuts []func()
	for _, s := range c.streams {
		cuts = append(cuts, s.drop())
	}
	c.closing = true
	c.wake.Signal()
	c.mu.Unlock()
	for _, cut := range cuts {
		cut()
	}
	writing.Wait()
	if c.leaving != staying { // nobody asks it any more, for closing is set
		c.cfg.Busy(-1)
	}
	c.linger()
	c.handlers.Wait()
	_ = c.conn.Close()
}

// linger says that nothing more comes and lets the client read it: a close with unread bytes would make the kernel send a reset.
func (c *Conn) linger() {
	if t, ok := c.conn.(interface{ CloseWrite() error }); ok && !c.broken {
		_ = t.CloseWrite()
		_ = c.conn.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, c.conn, lingerBytes)
	}
}

// Drain has the client open a new connection for what it wants next, and ends this one when it has no more streams: first it is
// asked, and when it must have heard that, told which of its streams still count (RFC 9113, 6.8).
func (c *Conn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ask()
}

// farewell is the ping whose answer tells that a client has been asked.
func farewell() [8]byte { return [8]byte{'f', 'a', 'r', 'e', 'w', 'e', 'l', 'l'} }

func (c *Conn) ask() {
	if c.leaving != staying || c.closing || c.broken {
		return
	}
	c.leaving = asked
	c.cfg.Busy(1)
	_ = c.writer.WriteGoAway(maxWindow, http2.ErrCodeNo, nil)
	_ = c.writer.WritePing(false, farewell())
	c.leave = time.AfterFunc(time.Second, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.tell()
	})
	c.wake.Signal()
}

func (c *Conn) tell() {
	if c.leaving != asked || c.closing {
		return
	}
	c.leaving = told
	_ = c.writer.WriteGoAway(c.last, http2.ErrCodeNo, nil)
	c.wake.Signal()
	c.endIfOver()
}

// endIfOver ends the connection after the last of the streams that counted.
func (c *Conn) endIfOver() {
	if c.leaving == told && len(c.streams) == 0 {
		c.closing = true
		c.wake.Signal()
		_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // wakes who reads
	}
}

// Cut ends the connection at once.
func (c *Conn) Cut(reset func()) {
	c.mu.Lock()
	c.broken = true
	var cuts []func()
	for _, s := range c.streams {
		cuts = append(cuts, s.drop())
	}
	c.wake.Signal()
	c.mu.Unlock()
	reset()
	for _, cut := range cuts {
		cut()
	}
}

// write is the goroutine that writes. What many streams have to say in one moment goes out together.
func (c *Conn) write() {
	var spare []byte
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for c.out.Len() == 0 && !c.closing && !c.broken {
			c.wake.Wait()
		}
		if c.broken || c.out.Len() == 0 {
			return
		}
		// Who else has something to say may do so first: writing is what costs most.
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
		spare = append(spare[:0], c.out.Bytes()...)
		c.out.Reset()
		c.mu.Unlock()
		_, err := c.conn.Write(spare)
		if cap(spare) > maxOut {
			spare = nil
		}
		c.mu.Lock()
		if err != nil {
			c.broken = true
			_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		}
		if c.blocked > 0 {
			c.wakeAll()
		}
		c.drained.Signal()
	}
}

func (c *Conn) wakeAll() {
	for _, s := range c.streams {
		s.changed.Broadcast()
	}
}

var errOver = errors.New("connection is over")
