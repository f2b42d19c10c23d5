package health

import (
	"testing"
	"time"
)

func TestOnlyConsecutiveResultsCount(t *testing.T) {
	for _, c := range []struct {
		name, results string // + success, - failure
		states        string // after each: ? unchecked, U up, D down
	}{
		{"first success", "+", "U"},
		{"success after a failure", "-+", "?U"},
		{"three failures", "---", "??D"},
		{"interrupted failures", "+--+--+---", "UUUUUUUUUD"},
		{"interrupted from unchecked", "--+--", "??UUU"},
		{"rise", "---++", "??DDU"},
		{"interrupted rise", "---+-+-++", "??DDDDDDU"},
		{"flapping stays", "+-+-+-+-", "UUUUUUUU"},
		{"flapping stays down", "---+-+-+-", "??DDDDDDD"},
	} {
		tr := track{rise: 2, fall: 3, state: Unchecked}
		for i := range c.results {
			was := tr.state
			changed := tr.add(c.results[i] == '+')
			want := map[byte]State{'?': Unchecked, 'U': Up, 'D': Down}[c.states[i]]
			if tr.state != want || changed != (want != was) {
				t.Errorf("%s: after %q: %s (changed %v), want %s", c.name, c.results[:i+1], tr.state, changed, want)
			}
		}
	}
}

func TestAChangeIsOnItsWayWhileResultsContradictTheState(t *testing.T) {
	tr := track{rise: 2, fall: 2, state: Unchecked}
	for i, c := range []struct{ ok, changing bool }{
		{false, true}, {false, false}, {false, false}, {true, true}, {false, false}, {true, true}, {true, false}, {false, true}, {true, false},
	} {
		tr.add(c.ok)
		if tr.changing() != c.changing {
			t.Errorf("step %d (%+v): changing = %v, want %v", i, tr, tr.changing(), c.changing)
		}
	}
}

func TestSpreadIsBounded(t *testing.T) {
	for _, c := range []struct {
		i, n           int
		interval, want time.Duration
	}{
		{0, 1, time.Second, 0},
		{1, 2, time.Second, 500 * time.Millisecond},
		{9, 10, time.Hour, 900 * time.Millisecond},
		{1, 4, 100 * time.Millisecond, 25 * time.Millisecond},
	} {
		if got := spread(c.i, c.n, c.interval); got != c.want {
			t.Errorf("spread(%d, %d, %v) = %v, want %v", c.i, c.n, c.interval, got, c.want)
		}
	}
}
