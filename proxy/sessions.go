package proxy

import "sync"

// session is a client's connection as seen by those who end it. Both methods return at once and may be
// called from any goroutine, more than once.
type session interface {
	// drain asks the session to end when it has nothing in hand.
	drain()
	// cut ends it now.
	cut()
}

// sessions is the set of sessions of one listener.
type sessions struct {
	wg     sync.WaitGroup
	mu     sync.Mutex // guards what follows
	all    map[session]struct{}
	closed bool
}

// run calls serve in a goroutine, with s in the set as long as it runs. After cut, s is cut at once.
func (ss *sessions) run(s session, serve func()) {
	ss.mu.Lock()
	if ss.all == nil {
		ss.all = make(map[session]struct{})
	}
	ss.all[s] = struct{}{}
	closed := ss.closed
	ss.mu.Unlock()
	if closed {
		s.cut()
	}
	ss.wg.Go(func() {
		defer ss.remove(s)
		serve()
	})
}

func (ss *sessions) remove(s session) {
	ss.mu.Lock()
	delete(ss.all, s)
	ss.mu.Unlock()
}

func (ss *sessions) empty() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.all) == 0
}

func (ss *sessions) list() []session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	out := make([]session, 0, len(ss.all))
	for s := range ss.all {
		out = append(out, s)
	}
	return out
}

func (ss *sessions) drain() {
	for _, s := range ss.list() {
		s.drain()
	}
}

// cut ends all sessions, those to come too, and returns how many there were.
func (ss *sessions) cut() int {
	ss.mu.Lock()
	ss.closed = true
	ss.mu.Unlock()
	all := ss.list()
	for _, s := range all {
		s.cut()
	}
	return len(all)
}

func (ss *sessions) wait() { ss.wg.Wait() }
