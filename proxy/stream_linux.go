package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bufferSize holds nearly every header, and is enough to find out that a flow is worth splicing.
const bufferSize = 16 << 10

// buffers lends buffers of bufferSize bytes.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return new([bufferSize]byte)[:]
}

// put takes a buffer back. One that has grown is left to the garbage collector.
func (b *buffers) put(buf []byte) {
	if cap(buf) == bufferSize {
		b.pool.Put((*[bufferSize]byte)(buf[:bufferSize]))
	}
}

var (
	errTimeout = errors.New("timeout")
	errFull    = errors.New("buffer is full")
)

// stream is a connection with a read buffer, which it has only while there is something in it: thousands of
// connections that wait cost no buffers. One goroutine at a time may use it, but for Close,
// SetReadDeadline and reset.
type stream struct {
	net.Conn
	tcp     *net.TCPConn // nil with TLS, and in tests, where the connection is a pipe
	raw     syscall.RawConn
	secure  *secureConn // nil without TLS
	first   [1]byte     // of what is read by TLS
	buffers *buffers
	buf     []byte
	r, w    int // what was read and not consumed is buf[r:w]

	deadline time.Time // of reading, as last set by arm or by

	// Made once, for a closure costs an allocation; n and err are their results.
	tryRead, tryPeek func(uintptr) bool
	n                int
	err              error
}

func (s *stream) init(conn net.Conn, b *buffers) {
	s.Conn, s.buffers = conn, b
	s.secure, _ = conn.(*secureConn)
	tcp, ok := plain(conn).(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	s.raw = raw
	if s.secure == nil {
		s.tcp = tcp
	}
	s.tryRead, s.tryPeek = s.readOnce, s.peekOnce
}

// pending returns what was read and not consumed; it is valid until the next fill or consume.
func (s *stream) pending() []byte { return s.buf[s.r:s.w] }

// consume drops n pending bytes.
func (s *stream) consume(n int) { s.r += n }

// release gives the buffer back if nothing is pending.
func (s *stream) release() {
	if s.r == s.w && s.buf != nil {
		s.buffers.put(s.buf)
		s.buf, s.r, s.w = nil, 0, 0
	}
}

// drop gives the buffer back with all that is in it.
func (s *stream) drop() {
	s.r = s.w
	s.release()
}

// grow makes the buffer at least size bytes long.
func (s *stream) grow(size int) {
	if len(s.buf) >= size {
		return
	}
	buf := make([]byte, size)
	n := copy(buf, s.pending())
	s.drop()
	s.buf, s.r, s.w = buf, 0, n
}

// room makes sure that there is a buffer with space behind the pending bytes.
func (s *stream) room() bool {
	switch {
	case s.buf == nil:
		s.buf, s.r, s.w = s.buffers.get(), 0, 0
	case s.r == s.w:
		s.r, s.w = 0, 0
	case s.w == len(s.buf):
		s.w = copy(s.buf, s.pending())
		s.r = 0
	}
	return s.w < len(s.buf)
}

// fill waits for bytes and adds them to the pending ones. The error is io.EOF at the end, errTimeout when
// the read deadline has passed, errFull without room.
func (s *stream) fill() error {
	switch {
	case s.secure != nil && s.buf == nil:
		return s.fillFirst()
	case s.secure != nil || s.raw == nil:
		if !s.room() {
			return errFull
		}
		n, err := s.Read(s.buf[s.w:])
		s.w += n
		if n > 0 {
			return nil
		}
		return readError(err)
	}
	if err := s.raw.Read(s.tryRead); err != nil {
		return readError(err)
	}
	s.w += s.n
	return s.err
}

// fillFirst waits by TLS for one byte, which needs no buffer, and then reads those that have come with it.
func (s *stream) fillFirst() error {
	n, err := s.Read(s.first[:])
	if n == 0 {
		return readError(err)
	}
	s.room()
	s.buf[0] = s.first[0]
	s.w, _ = s.secure.readNow(s.buf[1:]) // if there is an error, the next read finds it too
	s.w++
	return nil
}

// readOnce reads without waiting; false means that there is nothing yet, and then it leaves no empty buffer behind.
func (s *stream) readOnce(fd uintptr) bool {
	if !s.room() {
		s.n, s.err = 0, errFull
		return true
	}
	b := s.buf[s.w:]
	for {
		// The socket does not block, so the scheduler need not be told of the call.
		n, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			s.release()
			return false
		case errno != 0:
			s.n, s.err = 0, os.NewSyscallError("read", errno)
		case n == 0:
			s.n, s.err = 0, io.EOF
		default:
			s.n, s.err = int(n), nil
		}
		return true
	}
}

func readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errTimeout
	}
	return err
}

// quiet reports whether the connection is open and has nothing to read: the state in which an idle
// connection to a backend can be used again, and that of a client who waits. It does not wait. By TLS, a connection that
// is not quiet may have lost a byte.
func (s *stream) quiet() bool {
	if s.r < s.w {
		return false
	}
	if s.raw == nil {
		return true
	}
	if s.raw.Control(func(fd uintptr) { s.tryPeek(fd) }) != nil || !errors.Is(s.err, unix.EAGAIN) {
		return false
	}
	if s.secure == nil {
		return true
	}
	n, err := s.secure.readNow(s.first[:])
	return n == 0 && errors.Is(readError(err), errTimeout)
}

// readable reports whether bytes can be read without waiting.
func (s *stream) readable() bool {
	if s.r < s.w {
		return true
	}
	return s.raw != nil && s.raw.Control(func(fd uintptr) { s.tryPeek(fd) }) == nil && s.err == nil && s.n > 0
}

func (s *stream) peekOnce(fd uintptr) bool {
	var b byte
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	s.n, s.err = int(n), nil
	if errno != 0 {
		s.n, s.err = 0, errno
	}
	return true
}

// arm makes reading time out in at least atLeast, and in at most a quarter more. Timers cost more than most of what is done
// between two reads, so the last one stays when it will do.
func (s *stream) arm(now time.Time, atLeast time.Duration) {
	if left := s.deadline.Sub(now); left >= atLeast && left <= atLeast+atLeast/4 {
		return
	}
	s.by(now.Add(atLeast + atLeast/4))
}

// by makes reading time out at t.
func (s *stream) by(t time.Time) {
	s.deadline = t
	_ = s.SetReadDeadline(t) // fails only when closed, and then reading fails too
}

// reset closes the connection so that the other side sees a reset, not a regular end.
func (s *stream) reset() { resetConn(s.Conn) }

func resetConn(c net.Conn) {
	if s, ok := c.(*secureConn); ok {
		s.Reset()
		return
	}
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// closeWrite tells the other side that nothing more comes.
func (s *stream) closeWrite() {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
		return
	}
	_ = s.Close()
}

// isReset reports whether err says that the other side has cut the connection.
func isReset(err error) bool {
	return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ETIMEDOUT) ||
		errors.Is(err, io.ErrClosedPipe)
}
