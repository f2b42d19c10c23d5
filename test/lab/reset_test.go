package lab

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestResettingFirewallResetsOldAndNewConnections(t *testing.T) {
	s := newSegment(t)
	var open net.Conn
	err := s.a.Do(func() (err error) {
		open, err = net.Dial("tcp", s.backend.Addr().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	r := s.during(t, 300*time.Millisecond, func() (*Fault, error) { return s.b.ResetTCP(s.backend.Addr().Port()) })
	if r.Outcomes[Refused] < r.Attempts*9/10 || r.Attempts == 0 {
		t.Errorf("new connections: %s, want nearly all refused", r)
	}
	_ = open.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := open.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the open connection ended with %v, want a reset", err)
	}
	to := time.Now()
	if r := s.client.Conclude(to, to.Add(200*time.Millisecond)); r.Failed > 0 {
		t.Errorf("after the heal: %s", r)
	}
}

func TestPinnedHostBelievesNobodyElse(t *testing.T) {
	s := newSegment(t)
	r := s.during(t, 200*time.Millisecond, func() (*Fault, error) { return s.a.Pin(s.b.Addr(), s.c.MAC()) })
	if r.Failed != r.Attempts {
		t.Errorf("%s, want nothing to arrive: it went to another host", r)
	}
	if err := s.b.Announce(s.b.Addr()); err != nil {
		t.Fatal(err)
	}
	to := time.Now()
	if r := s.client.Conclude(to, to.Add(200*time.Millisecond)); r.Failed > 0 {
		t.Errorf("after the heal: %s", r)
	}
}
