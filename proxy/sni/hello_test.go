package sni

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"testing"
)

// helloOf is what Go's client sends first.
func helloOf(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		_ = tls.Client(near, cfg).Handshake()
		near.Close()
	}()
	b := make([]byte, MaxHello)
	n, err := far.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// fragments cuts the message of one record into many.
func fragments(record []byte, size int) []byte {
	var out []byte
	for body := record[recordHeader:]; len(body) > 0; {
		n := min(size, len(body))
		out = append(out, recordHandshake, 3, 1, byte(n>>8), byte(n))
		out = append(out, body[:n]...)
		body = body[n:]
	}
	return out
}

func TestServerNameIsRead(t *testing.T) {
	whole := helloOf(t, &tls.Config{ServerName: "Www.Example.ORG"})
	for what, b := range map[string][]byte{
		"whole": whole, "in records of one byte": fragments(whole, 1), "in records of 100 bytes": fragments(whole, 100),
		"with more behind it": append(bytes.Clone(whole), 20, 3, 3, 0, 1, 1),
	} {
		if name, err := ServerName(b); name != "www.example.org" || err != nil {
			t.Errorf("%s: %q, %v; want www.example.org", what, name, err)
		}
	}
	for n := range whole {
		if name, err := ServerName(whole[:n]); name != "" || !errors.Is(err, ErrShort) {
			t.Errorf("the first %d bytes: %q, %v; want %v", n, name, err, ErrShort)
		}
	}
	none := helloOf(t, &tls.Config{ServerName: "192.0.2.1", InsecureSkipVerify: true})
	if name, err := ServerName(none); name != "" || err != nil {
		t.Errorf("without a name: %q, %v", name, err)
	}
}

// message makes a ClientHello with the given extensions.
func message(extensions ...byte) []byte {
	body := append(make([]byte, 34), 0, 0, 2, 0x13, 1, 1, 0, byte(len(extensions)>>8), byte(len(extensions)))
	body = append(body, extensions...)
	body = append([]byte{clientHello, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append([]byte{recordHandshake, 3, 1, byte(len(body) >> 8), byte(len(body))}, body...)
}

func named(name string) []byte {
	n := byte(len(name))
	return append([]byte{0, 0, 0, n + 5, 0, n + 3, 0, 0, n}, name...)
}

func TestWhatIsNoHelloIsRefused(t *testing.T) {
	if name, err := ServerName(message(named("a.b")...)); name != "a.b" || err != nil {
		t.Fatalf("the sound one: %q, %v", name, err)
	}
	large := append([]byte{recordHandshake, 3, 1, 0x40, 0}, clientHello, 0, 0x40, 0)
	for _, c := range []struct {
		what string
		b    []byte
		want error
	}{
		{"http", []byte("GET / HTTP/1.1\r\n"), ErrNotTLS},
		{"ssl 2", []byte{0x80, 0x2e, 1, 0, 2}, ErrNotTLS},
		{"another record", []byte{recordHandshake, 3, 1, 0, 1, clientHello, 23, 3, 1, 0, 1, 0}, ErrNotTLS},
		{"an empty record", []byte{recordHandshake, 3, 1, 0, 0}, ErrBad},
		{"another message", []byte{recordHandshake, 3, 1, 0, 1, 2}, ErrBad},
		{"a record of 65535", []byte{recordHandshake, 3, 1, 255, 255}, ErrBad},
		{"16 MiB", []byte{recordHandshake, 3, 1, 0, 4, clientHello, 255, 255, 255}, ErrLarge},
		{"never whole", append(large, make([]byte, MaxHello)...)[:MaxHello], ErrLarge},
		{"two names", message(append(named("a.b"), named("c.d")...)...), ErrBad},
		{"an empty name", message(named("")...), ErrBad},
		{"a name with a blank", message(named("a b")...), ErrBad},
		{"a name with a NUL", message(named("a\x00b")...), ErrBad},
		{"two dots", message(named("a..b")...), ErrBad},
		{"an extension beyond the end", message(0, 0, 0, 9), ErrBad},
		{"two names in one extension", message(0, 0, 0, 10, 0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'), ErrBad},
	} {
		if name, err := ServerName(c.b); name != "" || !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v; want %v", c.what, name, err, c.want)
		}
	}
}

// FuzzServerName holds what is read against what Go's server reads of the same bytes.
func FuzzServerName(f *testing.F) {
	whole := helloOf(f, &tls.Config{ServerName: "www.example.org"})
	f.Add(whole)
	f.Add(fragments(whole, 7))
	f.Add(message(named("a.b")...))
	f.Add(message(append(named("a.b"), named("c.d")...)...))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		name, err := ServerName(b)
		if err != nil {
			if name != "" {
				t.Fatalf("%q beside %v", name, err)
			}
			return
		}
		if c, ok := Canonical(name); name != "" && (!ok || c != name) {
			t.Fatalf("%q is not canonical", name)
		}
		theirs, read := readByGo(b)
		if theirs, _ := Canonical(theirs); read && theirs != name {
			t.Fatalf("read %q, Go reads %q", name, theirs)
		}
	})
}

// readByGo returns the name that crypto/tls reads, if it gets that far.
func readByGo(b []byte) (name string, read bool) {
	enough := errors.New("enough")
	_ = tls.Server(&script{b: b}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name, read = h.ServerName, true
		return nil, enough
	}}).Handshake()
	return name, read
}

// script is a connection on which b was sent and nothing more.
type script struct {
	net.Conn
	b []byte
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(p, s.b)
	s.b = s.b[n:]
	return n, nil
}
func (s *script) Write(p []byte) (int, error) { return len(p), nil }
func (s *script) Close() error                { return nil }
