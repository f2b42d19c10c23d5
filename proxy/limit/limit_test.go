package limit

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestConnectionsOfOneClientAreBounded(t *testing.T) {
	c := NewClients(Config{Conns: 2})
	a, other := addr("192.0.2.1"), addr("192.0.2.2")
	for i, want := range []error{nil, nil, ErrConns, ErrConns} {
		if err := c.Enter(a); !errors.Is(err, want) {
			t.Errorf("connection %d: %v, want %v", i+1, err, want)
		}
	}
	if err := c.Enter(other); err != nil {
		t.Errorf("another client: %v", err)
	}
	c.Leave(a)
	if err := c.Enter(a); err != nil {
		t.Errorf("after one has left: %v", err)
	}
	for range 5 { // more often than it has entered
		c.Leave(a)
		c.Leave(other)
	}
	if n := len(c.all); n != 0 {
		t.Errorf("%d clients are remembered after all have left", n)
	}
}

func TestNetworkOf64BitsIsOneClient(t *testing.T) {
	c := NewClients(Config{Conns: 1})
	if err := c.Enter(addr("2001:db8::1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Enter(addr("2001:db8::2:3")); !errors.Is(err, ErrConns) {
		t.Errorf("the same network: %v, want %v", err, ErrConns)
	}
	if err := c.Enter(addr("2001:db8:0:1::1")); err != nil {
		t.Errorf("another network: %v", err)
	}
	if c.Enter(addr("192.0.2.1")) != nil || !errors.Is(c.Enter(addr("::ffff:192.0.2.1")), ErrConns) {
		t.Error("a mapped address is not the IPv4 address")
	}
}

func TestRateIsThatOfABucketThatFills(t *testing.T) {
	c := NewClients(Config{Rate: 10, Burst: 3})
	a, now := addr("192.0.2.1"), time.Unix(1000, 0)
	for _, s := range []struct {
		after time.Duration
		want  int // requests that pass, of 10
	}{{0, 3}, {0, 0}, {100 * time.Millisecond, 1}, {250 * time.Millisecond, 2}, {time.Hour, 3}, {50 * time.Millisecond, 0}, {50 * time.Millisecond, 1}} {
		now = now.Add(s.after)
		n := 0
		for range 10 {
			if c.Allow(a, now) == nil {
				n++
			}
		}
		if n != s.want {
			t.Errorf("after %s %d requests pass, want %d", s.after, n, s.want)
		}
	}
	if c.Allow(addr("192.0.2.2"), now) != nil {
		t.Error("another client is held back")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	c := NewClients(Config{Rate: 1, Conns: 1})
	now := time.Unix(1000, 0)
	stays := addr("192.0.2.1")
	if c.Enter(stays) != nil || c.Allow(stays, now) != nil {
		t.Fatal("refused")
	}
	for i := range 3 * maxRemembered {
		if err := c.Allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.all); n != maxRemembered+1 || c.idle != maxRemembered {
		t.Errorf("%d clients are remembered, want %d and the one that is connected", n, maxRemembered)
	}
	if err := c.Allow(stays, now); !errors.Is(err, ErrRate) {
		t.Errorf("a client that is connected was forgotten: %v", err)
	}
}

func TestNoLimitIsNoLimit(t *testing.T) {
	c := NewClients(Config{Burst: 5})
	if c != nil || c.Enter(addr("::1")) != nil || c.Allow(addr("::1"), time.Now()) != nil {
		t.Error("without limits something is limited")
	}
	c.Leave(addr("::1"))
}

func TestBudgetIsNeverOverdrawn(t *testing.T) {
	b := NewBudget(10)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 1000 {
				if b.Take(3) == nil {
					if n := b.Used(); n > 10+3*20 {
						t.Errorf("%d taken", n)
					}
					b.Give(3)
				}
			}
		})
	}
	wg.Wait()
	for i, want := range []error{nil, nil, nil, ErrBudget} {
		if err := b.Take(3); !errors.Is(err, want) {
			t.Errorf("%d: %v, want %v", i, err, want)
		}
	}
	if err := b.Take(1); err != nil || b.Used() != 10 {
		t.Errorf("the last one: %v, %d used", err, b.Used())
	}
}
