package peer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// writeTime bounds a write. Frames are a few bytes and idle streams have empty buffers, so a write never waits while the path lives.
	writeTime = time.Second
	// partTime is how long a stream that was given up, or said bye, waits for the other's last words.
	partTime = 200 * time.Millisecond
)

// stream is one connection after its handshake.
type stream struct {
	conn    net.Conn
	r       *bufio.Reader
	f       framer
	name    string
	boot    uint64
	dialed  bool // by this node
	since   time.Time
	idle    time.Duration // ends without any frame in this time
	done    chan struct{} // closed when it has ended
	gotBye  atomic.Bool
	sentBye atomic.Bool
	parting atomic.Bool // one side has given it up
	failed  atomic.Bool // ended by this side: a time-out, a local error, a bad frame

	// wmu guards writes, and is held while one is under way: frames must not mix, and the time is bounded.
	wmu sync.Mutex
}

func newStream(conn net.Conn, s session, dialed bool, idle time.Duration) *stream {
	return &stream{
		conn: conn, r: bufio.NewReaderSize(conn, 2+frameMax), f: framer{in: s.in, out: s.out},
		name: s.name, boot: s.boot, dialed: dialed, since: time.Now(), idle: idle, done: make(chan struct{}),
	}
}

// write sends one message.
func (s *stream) write(ctx context.Context, m Message) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	until := time.Now().Add(writeTime)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	if err := s.conn.SetWriteDeadline(until); err != nil {
		return err
	}
	if m.Kind == Bye {
		s.sentBye.Store(true)
	}
	_, err := s.conn.Write(s.f.frame(m))
	if err != nil && !gone(err) {
		// A frame may have gone out in part. When the other side has gone, though, it is the reader that says so.
		s.fail()
	}
	return err
}

// read blocks for the next message.
func (s *stream) read() (Message, error) {
	if !s.parting.Load() {
		if err := s.conn.SetReadDeadline(time.Now().Add(s.idle)); err != nil {
			return Message{}, err
		}
		if s.parting.Load() { // meanwhile: restore the deadline that was just overwritten
			_ = s.conn.SetReadDeadline(time.Now().Add(partTime))
		}
	}
	m, err := s.f.read(s.r)
	m.From = s.name
	return m, err
}

// giveUp tells the other side that the end of this stream means nothing, and lets the reader take what is still under way.
func (s *stream) giveUp(ctx context.Context) {
	if s.parting.Swap(true) {
		return
	}
	_ = s.write(ctx, Message{Kind: drop}) // if it cannot be said, the other side has another reason to know
	_ = s.conn.SetReadDeadline(time.Now().Add(partTime))
}

// fail ends the stream for a reason of this side.
func (s *stream) fail() {
	s.failed.Store(true)
	_ = s.conn.Close() // the reader reports the end
}

// farewell says bye and closes: first the bye, then a FIN, then, when the other has closed too, the rest.
func (s *stream) farewell() {
	if !s.sentBye.Load() {
		_ = s.write(context.Background(), Message{Kind: Bye}) // who cannot be told will see the stream end
	}
	s.parting.Store(true)
	_ = s.conn.SetReadDeadline(time.Now().Add(partTime))
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// brokenBy reports whether the stream's end, seen by the reader as err, came from the other side without a word. (A stream that was given up is no
// longer the present one when it ends, and its end is of no interest.)
func (s *stream) brokenBy(err error) bool {
	// A socket hands its error to whom asks first: if that was a writer, the reader sees only an end. Wait for a writer at work.
	s.wmu.Lock()
	failed := s.failed.Load()
	s.wmu.Unlock()
	return gone(err) && !failed && !s.gotBye.Load()
}

// gone reports whether err says that the other side has closed or reset the connection.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// why is the end of a stream in words.
func (s *stream) why(err error) string {
	switch {
	case s.gotBye.Load():
		return "it said bye"
	case s.sentBye.Load():
		return "this node stops"
	case s.parting.Load(), errors.Is(err, errDropped):
		return "one side gave it up"
	case s.brokenBy(err):
		return "the other side closed it without a word"
	case errors.Is(err, errFrame):
		return "a frame was damaged or forged"
	case errors.Is(err, syscall.ETIMEDOUT), isTimeout(err):
		return "nothing came any more"
	}
	return "it failed here"
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
