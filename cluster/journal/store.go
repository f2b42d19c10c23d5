package journal

import (
	"slices"
	"time"
)

// How much is kept in memory: full, with five nodes, some 1.5 MiB; the words of an entry are shared.
const (
	maxDecisions = 1000
	maxEvents    = 1000
	maxMoves     = 100
)

const (
	// storm: that many equal entries within stormTime are kept with their own times, the next ones are only counted.
	storm     = 3
	stormTime = time.Minute
	// stormLook is how far back equal entries are looked for: states that take turns are no more than that.
	stormLook = 32

	maxSeq = 1 << 62
)

// store keeps the newest entries of each kind, so that a storm of one does not push out the others.
type store struct {
	decisions, events, moves []Entry // by Seq
	seq                      uint64  // of the newest
}

// add takes e in. It returns the entry as it is now, and whether it is worth writing down: a storm is, each time its count doubles.
func (s *store) add(e Entry) (Entry, bool) {
	list, limit := s.list(e)
	if old := stormed(*list, e); old != nil {
		old.Count++
		old.Last = e.At
		return *old, old.Count&(old.Count-1) == 0
	}
	s.seq++
	e.Seq = s.seq
	keep(list, e, limit)
	return e, true
}

// stormed is the entry that e only repeats, one time too often to be kept by itself.
func stormed(list []Entry, e Entry) *Entry {
	n := 0
	var newest *Entry
	for i := len(list) - 1; i >= max(0, len(list)-stormLook); i-- {
		old := &list[i]
		if at := later(old.At, old.Last); e.At.Sub(at) > stormTime || !same(old, &e) {
			continue
		}
		if newest == nil {
			newest = old
		}
		if n++; n >= storm || newest.Count > 0 {
			return newest
		}
	}
	return nil
}

// restore takes in an entry that was kept on disk; one with the number of another replaces it.
func (s *store) restore(e Entry) {
	list, limit := s.list(e)
	i, found := slices.BinarySearchFunc(*list, e.Seq, func(e Entry, seq uint64) int {
		switch {
		case e.Seq < seq:
			return -1
		case e.Seq > seq:
			return 1
		}
		return 0
	})
	switch {
	case found:
		(*list)[i] = e
	case i == len(*list):
		keep(list, e, limit)
	default:
		return // out of order: not written by a journal
	}
	s.seq = max(s.seq, e.Seq)
}

func (s *store) list(e Entry) (*[]Entry, int) {
	switch {
	case e.Decision != nil:
		return &s.decisions, maxDecisions
	case e.Event != nil:
		return &s.events, maxEvents
	}
	return &s.moves, maxMoves
}

func keep(list *[]Entry, e Entry, limit int) {
	if len(*list) >= limit {
		(*list)[0] = Entry{} // lets go of what it points to before the slice is copied
		*list = (*list)[1:]
	}
	*list = append(*list, e)
}

// all is a copy in order. What the entries point to never changes.
func (s *store) all() []Entry {
	all := slices.Concat(s.decisions, s.events, s.moves)
	slices.SortFunc(all, func(a, b Entry) int {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	})
	return all
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
