package journal

import "time"

// Select picks what was so between two moments: the entries of that time, and the newest decision before it, which was in force when it began; nil: none is
// remembered. es is in order of Seq, which a clock that was set back does not change.
func Select(es []Entry, from, to time.Time) (before *Entry, in []Entry) {
	for i, e := range es {
		switch {
		case e.At.After(to):
		case later(e.At, e.Last).Before(from):
			if e.Decision != nil {
				before = &es[i]
			}
		default:
			in = append(in, e)
		}
	}
	return before, in
}

// LastMove is the newest move among es; nil: there is none.
func LastMove(es []Entry) *Move {
	for i := len(es) - 1; i >= 0; i-- {
		if m := es[i].Move; m != nil && m.Kind != First {
			return m
		}
	}
	return nil
}
