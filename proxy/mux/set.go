package mux

import (
	"net"
	"slices"
	"sync"
	"time"
)

// Set is the connections to one backend.
type Set struct {
	cfg   Config
	tasks sync.WaitGroup

	mu      sync.Mutex // guards what follows
	conns   []*Conn
	dialing int           // connections being opened
	waiting int           // requests that wait for one of them
	dialed  chan struct{} // closed when one is open, or could not be opened
	lost    error         // why it could not
	closed  bool
}

// NewSet returns a set without connections.
func NewSet(cfg Config) *Set { return &Set{cfg: cfg} }

// Dial opens a connection to the backend. The backend must begin HTTP/2 until then.
type Dial func() (conn net.Conn, until time.Time, err error)

// Open returns a new stream, on the first connection that has room. If there is none, dial opens one, unless others do so already; last says
// that there is no other backend to turn to. The request may wait for stall for a window.
func (s *Set) Open(stall time.Duration, last bool, dial Dial) (*Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.closed {
			return nil, errClosed
		}
		now := time.Now()
		for _, c := range s.conns {
			if st := c.take(stall, now); st != nil {
				return st, nil
			}
		}
		if s.waiting >= s.dialing*(s.cfg.MaxStreams-1) {
			if len(s.conns)+s.dialing >= s.cfg.MaxConns {
				return nil, ErrFull
			}
			return s.dial(stall, dial)
		}
		s.waiting++
		if s.dialed == nil {
			s.dialed = make(chan struct{})
		}
		dialed := s.dialed
		s.mu.Unlock()
		<-dialed
		s.mu.Lock()
		if s.waiting--; s.lost != nil && !last {
			return nil, s.lost
		}
	}
}

// dial opens a connection and returns the first stream on it.
func (s *Set) dial(stall time.Duration, dial Dial) (*Stream, error) {
	s.dialing++
	s.tasks.Add(1) // so that Close waits
	defer s.tasks.Done()
	s.mu.Unlock()
	var c *Conn
	conn, until, err := dial()
	if err == nil {
		c, err = begin(conn, &s.cfg, until, &s.tasks)
	}
	s.mu.Lock()
	s.dialing--
	s.lost = err
	if s.dialed != nil {
		close(s.dialed)
		s.dialed = nil
	}
	switch {
	case err != nil:
		return nil, err
	case s.closed:
		c.Abandon(errClosed)
		return nil, errClosed
	}
	s.conns = append(s.conns, c)
	if st := c.take(stall, time.Now()); st != nil {
		return st, nil
	}
	return nil, errLeaving
}

// Look closes connections that have been idle, and asks backends that have been silent whether they are still there. It is to be called every
// second or so.
func (s *Set) Look(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = slices.DeleteFunc(s.conns, func(c *Conn) bool {
		rested, over := c.look(now)
		if rested.IsZero() || !over && now.Sub(rested) < s.cfg.Idle {
			return false
		}
		c.close()
		return true
	})
}

// Empty reports whether there is no connection.
func (s *Set) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)+s.dialing == 0
}

// Leave has no more streams opened on the connections that there are; each ends with its last one. It is for backends that are elsewhere now.
func (s *Set) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.leave()
	}
}

// Close ends all connections, opens no more, and returns when what they have started has ended.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for _, c := range conns {
		c.Abandon(errClosed)
	}
	s.tasks.Wait()
}
