package lab

import (
	"slices"
	"testing"
	"time"
)

func TestSumFindsTheLargestGapBetweenSuccesses(t *testing.T) {
	begin := time.Now()
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	ok := func(start, end int) Attempt { return Attempt{Start: at(start), End: at(end)} }
	bad := func(start int) Attempt { return Attempt{Start: at(start), End: at(start + 900), Outcome: Timeout} }
	for _, c := range []struct {
		name             string
		attempts         []Attempt
		blackout, byEnds int // ms
		failed           int
	}{
		{"nothing was tried", nil, 0, 0, 0},
		{"all is well", []Attempt{ok(0, 1), ok(5, 6), ok(10, 11)}, 5, 5, 0},
		{"a gap in the middle", []Attempt{ok(0, 1), bad(5), bad(10), ok(15, 16), ok(20, 21)}, 15, 15, 2},
		{"a slow success hides nothing by starts", []Attempt{ok(0, 1), ok(5, 300), ok(10, 301)}, 5, 299, 0},
		{"an answer that overtakes another", []Attempt{ok(0, 20), ok(5, 6), ok(10, 11)}, 5, 9, 0},
		{"a gap that has not ended", []Attempt{ok(0, 1), bad(5), bad(10), bad(100)}, 100, 99, 3},
		{"nothing succeeded", []Attempt{bad(0), bad(50)}, 50, 50, 2},
	} {
		r := Sum(c.attempts)
		if r.Blackout != time.Duration(c.blackout)*time.Millisecond || r.ByEnds != time.Duration(c.byEnds)*time.Millisecond || r.Failed != c.failed {
			t.Errorf("%s: %s, want blackout %d ms, by ends %d ms, %d failed", c.name, r, c.blackout, c.byEnds, c.failed)
		}
	}
}

func TestOnlyACompleteAndCorrectAnswerIsASuccess(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n"
	for _, c := range []struct {
		name, got, by string
		complete      bool
	}{
		{"correct", head + Answer("web1"), "web1", true},
		{"cut short", head + Answer("web1")[:1000], "", false},
		{"too long", head + Answer("web1") + "x", "", true},
		{"altered", head + Answer("web1")[:1023] + "x", "", true},
		{"an error page", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "", true},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n" + Answer("web1"), "", true},
		{"half a head", head[:20], "", false},
	} {
		if got := complete([]byte(c.got)); got != c.complete {
			t.Errorf("%s: complete %v, want %v", c.name, got, c.complete)
		}
		if got := answeredBy([]byte(c.got)); got != c.by {
			t.Errorf("%s: answered by %q, want %q", c.name, got, c.by)
		}
	}
}

func TestViewMeasuresDualTime(t *testing.T) {
	begin := time.Now()
	o := &Observer{host: &Host{lab: &Lab{}}, known: nil}
	macs := [][]byte{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}
	for _, m := range macs {
		o.bit(m)
	}
	for i, who := range []uint64{1, 1, 3, 3, 2, 0, 2, 3, 2, 2} {
		o.questions = append(o.questions, question{at: begin.Add(time.Duration(i) * 5 * time.Millisecond), who: who})
	}
	v := o.View(begin, begin.Add(time.Second))
	ms := time.Millisecond
	if want := (Span{Longest: 10 * ms, Total: 15 * ms, Count: 2}); v.Dual != want {
		t.Errorf("dual %+v, want %+v", v.Dual, want)
	}
	if want := (Span{Longest: 5 * ms, Total: 5 * ms, Count: 1}); v.None != want {
		t.Errorf("nobody %+v, want %+v", v.None, want)
	}
	if want := []string{"02:00:00:00:00:01", "02:00:00:00:00:02"}; !slices.Equal(v.Holders(), want) {
		t.Errorf("holders %v, want %v", v.Holders(), want)
	}
	if got := o.View(begin.Add(20*ms), begin.Add(30*ms)); len(got.Changes) != 2 || got.Dual.Count > 0 {
		t.Errorf("a part of the time: %s, want one holder and then nobody", got)
	}
}
