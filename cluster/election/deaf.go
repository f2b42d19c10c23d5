package election

import "time"

const (
	// listen is for how many failover times a holder whose peers have fallen silent goes on asking whether it hears anybody at all,
	// and for how long each time that it asks again.
	listen = 3
	// listenEvery is how often it asks again, as long as the silence lasts.
	listenEvery = 5 * time.Second
)

// doubting reports whether this holder should find out if it has gone deaf: all its peers have fallen silent, and not because they died or left.
func (s *scene) doubting() bool {
	silence, ok := s.silence()
	if !ok {
		return false
	}
	begun := s.now.Add(s.p.Failover/2 - silence)
	if !s.passed(begun) {
		return false
	}
	in := s.now.Sub(begun) % listenEvery
	round := s.now.Add(-in)
	s.wakeAt(round.Add(listenEvery))
	return !s.passed(round.Add(listen * s.p.Failover))
}

// deafened reports whether this holder hears nobody: not its peers, no third party, no client. Nobody can reach it then, and it lets go: a peer
// that hears its beats claims at once, and one that does not would have claimed already.
func (s *scene) deafened() bool {
	silence, ok := s.silence()
	w := s.v.Wire
	return ok && s.passed(s.now.Add(s.p.Failover-silence)) && w.Deaf && w.Probes >= unanswered && !s.outdated() &&
		!s.v.Self.ClientAt.After(s.now.Add(s.p.Failover/2-silence))
}

// silence is how long no peer has been heard. It does not count if a peer is known to be dead or gone, or if there never was one: then there is a
// reason for the silence.
func (s *scene) silence() (time.Duration, bool) {
	var last time.Time
	for _, q := range s.peers {
		if q.Crashed || q.Left {
			return 0, false
		}
		last = latest(last, q.HeardAt)
	}
	return s.now.Sub(last), !last.IsZero()
}
