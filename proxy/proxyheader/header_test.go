package proxyheader

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const sigV2 = "\r\n\r\n\x00\r\nQUIT\n"

func ap(s string) netip.AddrPort {
	if s == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(s)
}

// connected returns both ends of a TCP connection.
func connected(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close(); in.Close() })
	_ = in.SetDeadline(time.Now().Add(10 * time.Second))
	return in.(*net.TCPConn), out.(*net.TCPConn)
}

func TestHeaderIsReadAndNotAByteMore(t *testing.T) {
	v4 := string(Append(nil, V2, ap("192.0.2.1:1234"), ap("10.0.0.10:80")))
	for _, tt := range []struct {
		name, header string
		want         Header
	}{
		{"v1 TCP4", "PROXY TCP4 192.0.2.1 10.0.0.10 1234 80\r\n", Header{ap("192.0.2.1:1234"), ap("10.0.0.10:80")}},
		{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::10 1 65535\r\n", Header{ap("[2001:db8::1]:1"), ap("[2001:db8::10]:65535")}},
		{"v1 mapped", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::10 1 2\r\n", Header{ap("192.0.2.1:1"), ap("[2001:db8::10]:2")}},
		{"v1 unknown", "PROXY UNKNOWN\r\n", Header{}},
		{"v1 unknown, more", "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Header{}},
		{"v2 TCP4", v4, Header{ap("192.0.2.1:1234"), ap("10.0.0.10:80")}},
		{"v2 TCP6", string(Append(nil, V2, ap("[2001:db8::1]:1"), ap("[2001:db8::10]:2"))), Header{ap("[2001:db8::1]:1"), ap("[2001:db8::10]:2")}},
		{"v2 local", sigV2 + "\x20\x00\x00\x00", Header{}},
		{"v2 local with addresses", sigV2 + "\x20\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02", Header{}},
		{"v2 with a TLV", sigV2 + "\x21\x11\x00\x10\xc0\x00\x02\x01\x0a\x00\x00\x0a\x04\xd2\x00\x50\x04\x00\x01x", Header{ap("192.0.2.1:1234"), ap("10.0.0.10:80")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunk := range []int{1, 11, len(tt.header), len(tt.header) + 5} {
				near, far := connected(t)
				go func() {
					for all := []byte(tt.header + "after"); len(all) > 0; all = all[min(chunk, len(all)):] {
						far.Write(all[:min(chunk, len(all))])
					}
					far.CloseWrite()
				}()
				h, err := Read(near)
				if err != nil || h != tt.want {
					t.Fatalf("in pieces of %d: Read = %v, %v; want %v", chunk, h, err, tt.want)
				}
				if rest, err := io.ReadAll(near); err != nil || string(rest) != "after" {
					t.Errorf("in pieces of %d: what follows is %q, %v; want \"after\"", chunk, rest, err)
				}
			}
			a, b := net.Pipe()
			go func() { io.WriteString(b, tt.header+"after"); b.Close() }()
			if h, err := Read(a); err != nil || h != tt.want {
				t.Fatalf("over a pipe: Read = %v, %v; want %v", h, err, tt.want)
			}
			if rest, _ := io.ReadAll(a); string(rest) != "after" {
				t.Errorf("over a pipe: what follows is %q", rest)
			}
		})
	}
}

func TestWrongHeadersAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, sent string
		is         error
	}{
		{"nothing", "", io.EOF},
		{"a request", "GET / HTTP/1.1\r\n\r\n", ErrMissing},
		{"lower case", "proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n", ErrMissing},
		{"cut short", "PROXY TCP4 192.0.2.1", io.ErrUnexpectedEOF},
		{"cut short, v2", sigV2 + "\x21\x11\x00\x0c\x01", io.ErrUnexpectedEOF},
		{"line without end", "PROXY " + strings.Repeat("x", 200), nil},
		{"bare LF", "PROXY TCP4 192.0.2.1 10.0.0.10 1234 80\n", nil},
		{"port out of range", "PROXY TCP4 192.0.2.1 10.0.0.10 65536 80\r\n", nil},
		{"wrong family", "PROXY TCP4 2001:db8::1 10.0.0.10 1 80\r\n", nil},
		{"a zone", "PROXY TCP6 fe80::1%eth0 2001:db8::10 1 80\r\n", nil},
		{"two blanks", "PROXY  TCP4 192.0.2.1 10.0.0.10 1234 80\r\n", nil},
		{"v2 of version 3", sigV2 + "\x31\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02", nil},
		{"v2 too short for its family", sigV2 + "\x21\x11\x00\x04\x01\x02\x03\x04", nil},
		{"v2 for UDP", sigV2 + "\x21\x12\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02", nil},
		{"v2 without a family", sigV2 + "\x21\x00\x00\x00", nil},
		{"v2 too long", sigV2 + "\x21\x11\xff\xff", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			near, far := connected(t)
			go func() { io.WriteString(far, tt.sent); far.CloseWrite() }()
			h, err := Read(near)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Read = %v, %v; want an error (%v)", h, err, tt.is)
			}
		})
	}
}

func TestAppendedHeaders(t *testing.T) {
	for _, tt := range []struct {
		v        Version
		from, to string
		want     string
	}{
		{None, "192.0.2.1:1", "10.0.0.10:80", ""},
		{V1, "192.0.2.1:1", "10.0.0.10:80", "PROXY TCP4 192.0.2.1 10.0.0.10 1 80\r\n"},
		{V1, "[2001:db8::1]:1", "[2001:db8::10]:80", "PROXY TCP6 2001:db8::1 2001:db8::10 1 80\r\n"},
		{V1, "192.0.2.1:1", "[2001:db8::10]:80", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::10 1 80\r\n"},
		{V1, "", "", "PROXY UNKNOWN\r\n"},
		{V2, "192.0.2.1:1", "10.0.0.10:80", sigV2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x00\x00\x0a\x00\x01\x00\x50"},
		{V2, "", "", sigV2 + "\x20\x00\x00\x00"},
	} {
		if got := Append(nil, tt.v, ap(tt.from), ap(tt.to)); string(got) != tt.want {
			t.Errorf("Append(%s, %s, %s) = %q, want %q", tt.v, tt.from, tt.to, got, tt.want)
		}
	}
}

// FuzzHeader: whatever comes is refused, or understood in the same way however it is cut in pieces, and what follows is never touched.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 10.0.0.10 1234 80\r\nGET /"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(sigV2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x00\x00\x0a\x00\x01\x00\x50tail"))
	f.Add([]byte(sigV2 + "\x21\x21\x00\x24" + strings.Repeat("\x01", 40)))
	f.Add([]byte(sigV2 + "\x20\x00\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := size(b)
		for i := range b {
			if m, early := size(b[:i]); early == nil && m > 0 && m != n || early != nil && err == nil {
				t.Fatalf("size of the first %d bytes is %d, %v; of all it is %d, %v", i, m, early, n, err)
			}
		}
		if err != nil || n == 0 || n > len(b) {
			return
		}
		h, err := parse(b[:n])
		if err != nil || !h.From.IsValid() {
			return
		}
		again := Append(nil, V2, h.From, h.To)
		if h2, err := parse(again); err != nil || h2 != h {
			t.Fatalf("%v is written as %q and read as %v, %v", h, again, h2, err)
		}
		if bytes.ContainsAny(Append(nil, V1, h.From, h.To)[:5], "\r\n") {
			t.Fatal("version 1 begins with the end of a line")
		}
	})
}
