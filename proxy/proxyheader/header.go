package proxyheader

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	proxyproto "github.com/pires/go-proxyproto"
)

// Version is a version of the PROXY header; zero means none.
type Version string

// The versions of the header.
const (
	None Version = ""
	V1   Version = "v1" // a line of text
	V2   Version = "v2" // binary
)

// Header is what a PROXY header says. Both addresses are invalid when the connection speaks for itself: the proxy's own probe (LOCAL), or
// a client that it knows nothing about (UNKNOWN).
type Header struct{ From, To netip.AddrPort }

// ErrMissing means that a connection does not begin with a PROXY header.
var ErrMissing = errors.New("connection does not begin with a PROXY header")

const (
	maxV1   = 107     // bytes of a line, by the specification
	maxV2   = 4 << 10 // bytes behind the fixed part; what go-proxyproto accepts, and room for a client certificate
	fixedV2 = 16
)

// size returns how long the header is of which b is the beginning; zero when that cannot be known yet, and then all of b belongs to it.
func size(b []byte) (int, error) {
	switch {
	case begins(b, proxyproto.SIGV2):
		if len(b) < fixedV2 {
			return 0, nil
		}
		n := int(binary.BigEndian.Uint16(b[14:]))
		if n > maxV2 {
			return 0, fmt.Errorf("PROXY header of %d bytes, at most %d are read", n, maxV2)
		}
		return fixedV2 + n, nil
	case begins(b, []byte("PROXY ")):
		if i := bytes.IndexByte(b[:min(len(b), maxV1)], '\n'); i >= 0 {
			return i + 1, nil
		}
		if len(b) >= maxV1 {
			return 0, proxyproto.ErrVersion1HeaderTooLong
		}
		return 0, nil
	}
	return 0, ErrMissing
}

// begins reports whether b can be the beginning of what begins with prefix.
func begins(b, prefix []byte) bool {
	n := min(len(b), len(prefix))
	return bytes.Equal(b[:n], prefix[:n])
}

// parse understands a whole header.
func parse(b []byte) (Header, error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), len(b)))
	if err != nil {
		return Header{}, err
	}
	if h.Command != proxyproto.PROXY || h.TransportProtocol == proxyproto.UNSPEC {
		return Header{}, nil
	}
	from, to, ok := h.TCPAddrs()
	if !ok {
		return Header{}, fmt.Errorf("PROXY header for %v, want one for TCP", h.TransportProtocol)
	}
	return Header{unmap(from), unmap(to)}, nil
}

func unmap(a *net.TCPAddr) netip.AddrPort {
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// Append appends a header that says that a connection came from a client to an address of ours; if either is invalid it says that the
// connection speaks for itself, as a probe does.
func Append(dst []byte, v Version, from, to netip.AddrPort) []byte {
	if v == None {
		return dst
	}
	h := &proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	if from.IsValid() && to.IsValid() {
		h = proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(from), net.TCPAddrFromAddrPort(to))
	}
	if v == V1 {
		h.Version, h.Command = 1, proxyproto.PROXY
	}
	b, err := h.Format()
	if err != nil {
		panic(err) // cannot be: both addresses are of one family, which was derived from them
	}
	return append(dst, b...)
}
