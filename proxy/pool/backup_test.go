package pool

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Who was let down by all that serve, and waits for the backup, gets it when it has room.
func TestQueueGetsABackupThatHasRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := of(t, RoundRobin, equal(2), func(c *Config) {
			c.QueueSize, c.QueueTimeout = 10, 5*time.Second
			c.Backends[1].Backup, c.Backends[1].MaxConns = true, 1
		})
		a := p.Backends()[0]
		held := mustPick(t, p, Request{}, a)
		if _, err := p.Pick(Request{}, a); !errors.Is(err, ErrFull) {
			t.Fatalf("Pick beside a full backup: %v, want ErrFull", err)
		}
		began := time.Now()
		time.AfterFunc(time.Second, func() { held.Done(nil) })
		l, err := p.Wait(t.Context(), Request{}, never, a)
		if err != nil {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		if took := time.Since(began); l.Backend().Name() != "b" || took != time.Second {
			t.Errorf("%s after %v, want b when it had room, after 1s", l.Backend().Name(), took)
		}
		l.Done(nil)
	})
}
