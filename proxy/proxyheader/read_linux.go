package proxyheader

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Read reads the header at the beginning of a connection, and not a byte more: what follows is left to whoever reads next, and bulk can be
// spliced. It waits until the connection's read deadline.
func Read(c net.Conn) (Header, error) {
	next := oneByOne(c)
	if s, ok := c.(syscall.Conn); ok {
		raw, err := s.SyscallConn()
		if err != nil {
			return Header{}, err
		}
		next = peeking(raw)
	}
	var b []byte
	for {
		more, err := next(b)
		if err != nil {
			return Header{}, err
		}
		b = more
		n, err := size(b)
		if err != nil {
			return Header{}, err
		}
		if n > 0 && len(b) >= n {
			return parse(b)
		}
	}
}

// oneByOne returns a function that appends the next byte of c.
func oneByOne(c io.Reader) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		var one [1]byte
		if _, err := io.ReadFull(c, one[:]); err != nil {
			return b, ended(err, len(b))
		}
		return append(b, one[0]), nil
	}
}

// peeking returns a function that appends what has come of the header: it looks first, and then takes only what belongs to it.
func peeking(raw syscall.RawConn) func([]byte) ([]byte, error) {
	var buf [fixedV2 + maxV2]byte
	return func(b []byte) ([]byte, error) {
		have := copy(buf[:], b)
		seen := 0
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			seen, _, failed = unix.Recvfrom(int(fd), buf[have:], unix.MSG_PEEK)
			return !errors.Is(failed, unix.EAGAIN)
		})
		switch {
		case err != nil:
			return b, err
		case failed != nil:
			return b, os.NewSyscallError("recvfrom", failed)
		case seen == 0:
			return b, ended(io.EOF, len(b))
		}
		take := have + seen
		n, err := size(buf[:take])
		if err != nil {
			return b, err
		}
		if n > 0 {
			take = min(take, n)
		}
		err = raw.Read(func(fd uintptr) bool {
			_, _, failed = unix.Recvfrom(int(fd), buf[have:take], 0)
			return true
		})
		if err = errors.Join(err, failed); err != nil {
			return b, err
		}
		return append(b, buf[have:take]...), nil
	}
}

// ended is the error of a connection that ended after so many bytes of a header.
func ended(err error, n int) error {
	if errors.Is(err, io.EOF) && n > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
