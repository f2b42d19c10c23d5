package peer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/cluster/peer/seal"
)

func idOf(t testing.TB, name string, boot uint64) *identity {
	t.Helper()
	key, err := seal.NewKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{key: key, cluster: seal.Cluster(""), boot: boot, name: name}
}

// script is a connection whose other side has said everything already; what is written is kept.
type script struct {
	io.Reader
	wrote bytes.Buffer
}

func (s *script) Write(b []byte) (int, error) { return s.wrote.Write(b) }

// spy keeps what passes in both directions.
type spy struct {
	net.Conn
	read, wrote bytes.Buffer
}

func (s *spy) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.read.Write(b[:n])
	return n, err
}

func (s *spy) Write(b []byte) (int, error) {
	s.wrote.Write(b)
	return s.Conn.Write(b)
}

// shakeHands runs a handshake of a, who dials, and b, and returns both sessions and what a saw.
func shakeHands(t testing.TB, a, b *identity) (sa, sb session, tape *spy, errA, errB error) {
	t.Helper()
	x, y := net.Pipe()
	tape = &spy{Conn: x}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sb, errB = b.shakeAsListener(y)
		if errB != nil {
			_ = y.Close()
		}
	}()
	sa, errA = a.shakeAsDialer(tape)
	if errA != nil {
		_ = x.Close()
	}
	<-done
	_, _ = x.Close(), y.Close()
	return sa, sb, tape, errA, errB
}

func TestHandshakeTellsWhoTheOtherIs(t *testing.T) {
	sa, sb, _, errA, errB := shakeHands(t, idOf(t, "a", 1), idOf(t, "b", 2))
	if errA != nil || errB != nil || sa.name != "b" || sa.boot != 2 || sb.name != "a" || sb.boot != 1 {
		t.Fatalf("%+v %v, %+v %v", sa, errA, sb, errB)
	}
	fa, fb := framer{in: sa.in, out: sa.out}, framer{in: sb.in, out: sb.out}
	for term := range uint64(3) {
		if m, err := fb.read(bytes.NewReader(fa.frame(Message{Kind: Take, Term: term}))); err != nil || m.Term != term {
			t.Errorf("b read %+v, %v", m, err)
		}
		if m, err := fa.read(bytes.NewReader(fb.frame(Message{Kind: Ready, Term: term}))); err != nil || m.Kind != Ready {
			t.Errorf("a read %+v, %v", m, err)
		}
	}
}

func TestReplayedHandshakeIsRefused(t *testing.T) {
	a, b := idOf(t, "a", 1), idOf(t, "b", 2)
	_, _, tape, errA, errB := shakeHands(t, a, b)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if _, err := b.shakeAsListener(&script{Reader: bytes.NewReader(tape.wrote.Bytes())}); !errors.Is(err, errProof) {
		t.Errorf("the dialer's words, again: %v, want errProof", err)
	}
	if _, err := a.shakeAsDialer(&script{Reader: bytes.NewReader(tape.read.Bytes())}); !errors.Is(err, errProof) {
		t.Errorf("the listener's words, again: %v, want errProof", err)
	}
}

// echoConn sends back what it is sent: an attacker without the key who lets a node answer its own challenge.
type echoConn struct{ bytes.Buffer }

func TestReflectedHandshakeIsRefused(t *testing.T) {
	a := idOf(t, "a", 1)
	if _, err := a.shakeAsDialer(&echoConn{}); err == nil {
		t.Error("a node took its own echo for a peer")
	}
	// The listener's proof, sent back as the dialer's.
	x, y := net.Pipe()
	go func() {
		b := idOf(t, "b", 2)
		h := b.hello()
		_, _ = x.Write(h.bytes())
		_, raw, err := readHello(x)
		var proof [seal.Size]byte
		_, _ = io.ReadFull(x, proof[:])
		_, _ = x.Write(proof[:])
		if err != nil || len(raw) == 0 {
			t.Error("no hello came")
		}
	}()
	if _, err := a.shakeAsListener(y); !errors.Is(err, errProof) {
		t.Errorf("its own proof, sent back: %v, want errProof", err)
	}
	_, _ = x.Close(), y.Close()
}

func TestVersionsAreToldApartByBothSides(t *testing.T) {
	a, b := idOf(t, "a", 1), idOf(t, "b", 2)
	h := b.hello()
	next := h.bytes()
	next[4] = version + 1
	next = append(next, "whatever version 2 has more"...)
	s := &script{Reader: bytes.NewReader(next)}
	if _, err := a.shakeAsListener(s); !errors.Is(err, errVersion) {
		t.Errorf("listener: %v", err)
	}
	if got := s.wrote.Bytes(); len(got) < helloMin || got[4] != version {
		t.Errorf("the listener answered % x, want its hello", got)
	}
	if _, err := a.shakeAsDialer(&script{Reader: bytes.NewReader(next)}); !errors.Is(err, errVersion) {
		t.Errorf("dialer: %v", err)
	}
}

func TestStrangersAreToldNothing(t *testing.T) {
	s := &script{Reader: bytes.NewReader([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))}
	if _, err := idOf(t, "a", 1).shakeAsListener(s); !errors.Is(err, errForeign) || s.wrote.Len() != 0 {
		t.Errorf("%v, answered %q", err, s.wrote.Bytes())
	}
}

func TestBentHandshakesFail(t *testing.T) {
	a, b := idOf(t, "a", 1), idOf(t, "b", 2)
	synctest.Test(t, func(t *testing.T) {
		for i := range helloMin + 1 + seal.Size { // each byte of what the dialer says
			x, y := net.Pipe()
			_ = x.SetDeadline(time.Now().Add(time.Second))
			_ = y.SetDeadline(time.Now().Add(time.Second))
			done := make(chan error, 1)
			go func() {
				_, err := b.shakeAsListener(y)
				_ = y.Close()
				done <- err
			}()
			_, _ = a.shakeAsDialer(&bender{Conn: x, at: i})
			_ = x.Close()
			if err := <-done; err == nil {
				t.Errorf("byte %d was bent, and nobody noticed", i)
			}
		}
	})
}

// bender bends one byte of what is written.
type bender struct {
	net.Conn
	at int
}

func (b *bender) Write(p []byte) (int, error) {
	if p = slices.Clone(p); b.at >= 0 && b.at < len(p) {
		p[b.at] ^= 0x10
	}
	b.at -= len(p)
	return b.Conn.Write(p)
}

func TestFramesOutOfOrderAreRefused(t *testing.T) {
	sa, sb, _, _, _ := shakeHands(t, idOf(t, "a", 1), idOf(t, "b", 2))
	fa := framer{in: sa.in, out: sa.out}
	first := bytes.Clone(fa.frame(Message{Kind: Take, Term: 1}))
	second := bytes.Clone(fa.frame(Message{Kind: Cancel, Term: 2}))
	for name, b := range map[string][]byte{
		"again": append(bytes.Clone(first), first...), "second first": second,
		"bent": append(bytes.Clone(first[:len(first)-1]), first[len(first)-1]^1), "too long": {255, 255, 0}, "too short": {0, 3, 1, 1, 1},
	} {
		fb := framer{in: sb.in, out: sb.out}
		r := bytes.NewReader(b)
		_, err := fb.read(r)
		if err == nil {
			_, err = fb.read(r)
		}
		if !errors.Is(err, errFrame) {
			t.Errorf("%s: %v, want errFrame", name, err)
		}
	}
	if _, err := (&framer{in: sa.in, out: sa.out}).read(bytes.NewReader(first)); !errors.Is(err, errFrame) {
		t.Errorf("own frame, sent back: %v, want errFrame", err)
	}
}

// FuzzHello: any bytes from a dialer, and from a listener: never a session, never a panic.
func FuzzHello(f *testing.F) {
	a, b := idOf(f, "a", 1), idOf(f, "b", 2)
	_, _, tape, _, _ := shakeHands(f, a, b)
	f.Add(tape.wrote.Bytes())                         // a true dialer, replayed
	f.Add(tape.read.Bytes())                          // a true listener, replayed
	f.Add([]byte{})                                   // closed at once
	f.Add([]byte("TNDS\x01\x00\xff\xff"))             // a length beyond the bounds
	f.Add([]byte("TNDS\x01\x00\x00\x38" + "no name")) // a name of no bytes
	f.Add([]byte("TNDS\x02\x00\x00\x10"))             // of a later version
	f.Fuzz(func(t *testing.T, in []byte) {
		if s, err := b.shakeAsListener(&script{Reader: bytes.NewReader(in)}); err == nil {
			t.Fatalf("a listener believed % x: %+v", in, s)
		}
		if s, err := a.shakeAsDialer(&script{Reader: bytes.NewReader(in)}); err == nil {
			t.Fatalf("a dialer believed % x: %+v", in, s)
		}
	})
}

// FuzzFrames: any bytes on an authenticated stream: only what was sealed is read, and in order.
func FuzzFrames(f *testing.F) {
	keys := func() (in, out framer) {
		k := make([]byte, 32)
		return framer{in: seal.NewMAC(k)}, framer{out: seal.NewMAC(k)}
	}
	_, out := keys()
	one := bytes.Clone(out.frame(Message{Kind: Take, Term: 7}))
	two := bytes.Clone(out.frame(Message{Kind: Bye}))
	f.Add(slices.Concat(one, two)) // true
	f.Add(slices.Concat(two, one)) // turned round
	f.Add(slices.Concat(one, one)) // twice
	f.Add(one[:len(one)-1])        // cut
	f.Add([]byte{255, 255})        // too long
	f.Fuzz(func(t *testing.T, b []byte) {
		in, out := keys()
		r := bytes.NewReader(b)
		read := 0
		for {
			start := len(b) - r.Len()
			m, err := in.read(r)
			if err != nil {
				return
			}
			read++
			size := len(b) - r.Len() - start
			if want := out.frame(m); size == len(want) && !bytes.Equal(b[start:start+size], want) {
				t.Fatalf("frame %d: read %+v from % x, want % x", read, m, b[start:start+size], want)
			}
		}
	})
}
