package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/election"
)

func event(what string) Entry {
	return Entry{At: time.Now(), Event: &Event{What: what, Peer: "lb2", Text: what}}
}

func decision(why election.Reason, is ...string) Entry {
	return Entry{At: time.Now(), Decision: &Decision{Reason: why, Inputs: Inputs{Peers: []Who{{Name: "lb2", Is: is}}}}}
}

// running runs a journal during f, and returns when it has ended.
func running(t *testing.T, c Config, f func(j *Journal)) {
	t.Helper()
	j := New(c, hclog.NewNullLogger())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- j.Run(ctx) }()
	f(j)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func get(t *testing.T, j *Journal) []Entry {
	t.Helper()
	es, err := j.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return es
}

// brief is what entries say, for comparing.
func brief(es []Entry) string {
	var out []string
	for _, e := range es {
		s := ""
		switch {
		case e.Decision != nil:
			s = string(e.Decision.Reason)
		case e.Event != nil:
			s = e.Event.What
		case e.Move != nil:
			s = "move"
		}
		if e.Count > 0 {
			s += fmt.Sprintf("+%d", e.Count)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestTheNewestOfEachKindAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running(t, Config{}, func(j *Journal) {
			for i := range 1500 {
				j.Record(decision(election.Reason(fmt.Sprint("why", i))))
				if i < 10 {
					j.Record(event("early"))
					time.Sleep(time.Hour) // no storm
				}
				synctest.Wait()
			}
			es := get(t, j)
			events, decisions := 0, 0
			for i, e := range es {
				if e.Event != nil {
					events++
				} else {
					decisions++
				}
				if i > 0 && e.Seq <= es[i-1].Seq {
					t.Fatalf("entry %d comes after %d", e.Seq, es[i-1].Seq)
				}
			}
			if events != 10 || decisions != maxDecisions || brief(es[len(es)-1:]) != "why1499" {
				t.Errorf("%d events, %d decisions, the newest %s; want 10, %d, why1499: a storm of one kind pushes out no other", events, decisions, brief(es[len(es)-1:]), maxDecisions)
			}
		})
	})
}

func TestAStormIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "journal")
		running(t, Config{Path: path}, func(j *Journal) {
			j.Record(event("before"))
			for range 1000 { // two states that take turns for ten seconds
				j.Record(decision("silent", "silent"))
				j.Record(decision("heard", "heard"))
				time.Sleep(10 * time.Millisecond)
			}
			want := "before silent heard silent heard silent+997 heard+997"
			es := get(t, j)
			if got := brief(es); got != want {
				t.Errorf("kept %q, want %q", got, want)
			}
			if last := es[len(es)-1]; last.Last.Sub(last.At) != 9970*time.Millisecond {
				t.Errorf("the storm lasted from %v to %v", last.At, last.Last)
			}
			time.Sleep(2 * time.Minute)
			j.Record(decision("heard", "heard"))
			synctest.Wait()
			if got := brief(get(t, j)); got != want+" heard" {
				t.Errorf("after the storm kept %q, want a new entry", got)
			}
		})
		if b, err := os.ReadFile(path); err != nil || strings.Count(string(b), "\n") > 30 {
			t.Errorf("%d lines were written (%v), want a few", strings.Count(string(b), "\n"), err)
		}
		running(t, Config{Path: path}, func(j *Journal) { // and what was written is at least half of it
			if got := brief(get(t, j)); got != "before silent heard silent heard silent+512 heard+512 heard" {
				t.Errorf("after a restart kept %q", got)
			}
		})
	})
}

func TestInputsThatNeverStandStillMakeNoStormDifferent(t *testing.T) {
	a, b := decision("x", "heard"), decision("x", "heard")
	a.Decision.Inputs.Peers[0].HeardMS, b.Decision.Inputs.Peers[0].HeardMS = 1, 2
	a.Decision.Inputs.Peers[0].Term, a.Decision.Term = 7, 7
	c := decision("x", "silent")
	if !same(&a, &b) || same(&a, &c) {
		t.Error("ages and terms count as a change, or words do not")
	}
}

func TestAnotherWordOfAnOperatorIsNotMoreOfTheSame(t *testing.T) {
	asked := func(word, who string) Entry {
		return Entry{Event: &Event{What: "operator-asked", Word: word, Text: who + " asked for " + word}}
	}
	a, again, other := asked("handover", "uid 0, pid 7"), asked("handover", "uid 0, pid 8"), asked("maintenance on", "uid 0, pid 7")
	if !same(&a, &again) || same(&a, &other) {
		t.Error("who asks counts as a change, or what is asked for does not")
	}
}

func TestTheJournalOutlivesTheDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "journal")
	var before []Entry
	running(t, Config{Path: path, Boot: "one"}, func(j *Journal) {
		j.Record(event("first"))
		j.Record(decision("peer-holds", "heard", "holds"))
		j.Record(Entry{At: time.Now(), Move: &Move{Kind: Failover, From: "lb1", To: "lb2", Steps: []Step{{"noticed", Exactly(time.Millisecond)}}, Dual: Unknown(), Nobody: AtMost(9800 * time.Microsecond)}})
		before = waitFor(t, j, 3)
	})
	for range 2 { // torn by the end of the world, and once more
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"seq":9,"boot":"one","at":"20`); err != nil {
			t.Fatal(err)
		}
		f.Close()
		running(t, Config{Path: path, Boot: "two"}, func(j *Journal) { j.Record(event("second")) })
	}
	running(t, Config{Path: path, Boot: "three"}, func(j *Journal) {
		es := get(t, j)
		if got, want := brief(es), "first peer-holds move second second"; got != want {
			t.Fatalf("kept %q, want %q", got, want)
		}
		for i, e := range before {
			if a, b := fmt.Sprintf("%+v", show(e)), fmt.Sprintf("%+v", show(es[i])); a != b {
				t.Errorf("wrote %s, read %s", a, b)
			}
		}
		if es[4].Boot != "two" || es[4].Seq != before[2].Seq+2 {
			t.Errorf("the last entry is of start %q with number %d", es[4].Boot, es[4].Seq)
		}
	})
}

// show makes what pointers point to comparable.
func show(e Entry) []any {
	out := []any{e.Seq, e.Boot, e.At.UnixNano()}
	if e.Decision != nil {
		out = append(out, *e.Decision)
	}
	if e.Event != nil {
		out = append(out, *e.Event)
	}
	if e.Move != nil {
		m := *e.Move
		m.At = m.At.UTC()
		out = append(out, m)
	}
	return out
}

// waitFor waits until n entries have been taken in.
func waitFor(t *testing.T, j *Journal, n int) []Entry {
	t.Helper()
	for {
		if es := get(t, j); len(es) >= n {
			return es
		}
	}
}

func TestTheFileStaysSmallAndTheNewestSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	words := strings.Split(strings.Repeat("a rather long word of an input,", 20), ",")
	j := New(Config{Path: path}, hclog.NewNullLogger())
	f := file{path: path}
	for i := range 5000 { // as the writer does, without its patience
		e, _ := j.store.add(decision(election.Reason(fmt.Sprint(i)), words...).bounded())
		if err := f.append(e); err != nil {
			t.Fatal(err)
		}
	}
	f.close()
	for _, p := range []string{path, path + ".1"} {
		if fi, err := os.Stat(p); err != nil || fi.Size() > maxFile {
			t.Errorf("%s: %v, %v; want at most %d bytes", p, fi.Size(), err, maxFile)
		}
	}
	j = New(Config{Path: path}, hclog.NewNullLogger())
	all := j.store.all()
	if len(all) != maxDecisions || brief(all[len(all)-1:]) != "4999" {
		t.Errorf("%d entries, the newest %s", len(all), brief(all[len(all)-1:]))
	}
}

func TestRecordNeverWaits(t *testing.T) {
	j := New(Config{}, hclog.NewNullLogger()) // nobody runs it
	for range 2 * burst {
		j.Record(event("x"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _ = j.Run(ctx) }()
	es := waitFor(t, j, 1)
	cancel()
	if got := brief(es); !strings.Contains(got, "journal-lost") {
		t.Errorf("kept %q; that some were lost must be told", got)
	}
	<-j.ended
	if _, err := j.Entries(t.Context()); err == nil {
		t.Error("a journal that has ended answers")
	}
}

func TestADiskThatRefusesIsNoReasonToStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	running(t, Config{Path: path}, func(j *Journal) {
		j.Record(event("x"))
		waitFor(t, j, 1)
	})
}

func TestSpansSayWhatIsKnown(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		s    Span
		want string
	}{
		{Span{}, "0s"}, {Exactly(2134 * time.Microsecond), "2.1ms"}, {AtMost(9800 * time.Microsecond), "at most 9.8ms"},
		{Between(71*ms, 51*ms), "51ms to 71ms"}, {Between(-5*ms, -2*ms), "0s"}, {Unknown(), "unknown"}, {Span{Min: time.Second, Open: true}, "at least 1s"},
		{Exactly(5 * time.Minute), "5m"}, {Exactly(time.Hour + 5*time.Minute), "1h5m"}, {Exactly(10 * time.Minute), "10m"}, {Exactly(90*time.Second + 400*ms), "1m30s"},
		{Exactly(12345 * ms), "12.3s"}, {Exactly(3456 * ms), "3.456s"},
	} {
		if got := c.s.String(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.s, got, c.want)
		}
		var back Span
		b, err := c.s.MarshalJSON()
		if err != nil || back.UnmarshalJSON(b) != nil || back != c.s {
			t.Errorf("%+v came back from %s as %+v", c.s, b, back)
		}
	}
}

// FuzzFile: whatever is in the file, what is taken in is bounded and can be written again.
func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"seq":1,"boot":"a","at":"2026-01-02T03:04:05Z","event":{"what":"x","text":"y"}}` + "\n\n{\"seq\":2"))
	f.Add([]byte(`{"seq":3,"at":"2026-01-02T03:04:05Z","decision":{"inputs":{"peers":[{"name":"b","is":["holds"]}]}}}`))
	f.Add([]byte(`{"seq":4,"at":"2026-01-02T03:04:05Z","move":{"steps":[{"name":"n","took":{"min_ms":1e300}}]}}`))
	f.Add([]byte(strings.Repeat("x", maxLine+1) + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s store
		if _, err := read(strings.NewReader(string(b)), &s); err != nil {
			t.Fatal(err)
		}
		for _, e := range s.all() {
			if !e.sound() {
				t.Fatalf("took in %+v", e)
			}
		}
		if _, news := s.add(Entry{At: time.Unix(1, 0), Event: &Event{What: "new"}}); !news {
			t.Error("a new entry was not taken in")
		}
	})
}

func TestAFullJournalOfFiveNodesIsSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var s store
	for i := range maxDecisions + maxEvents {
		is := []string{"heard", "holds", "fit", fmt.Sprint("reaches ", i, " of 5 backends"), "settling", "no member"}
		d := decision(election.Reason(fmt.Sprint(i)), is...)
		for range 3 {
			d.Decision.Inputs.Peers = append(d.Decision.Inputs.Peers, Who{Name: fmt.Sprint("node", i), Is: is})
		}
		s.add(d.bounded())
		s.add(Entry{At: time.Now(), Event: &Event{What: fmt.Sprint(i), Text: strings.Repeat("x", 100)}}.bounded())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 6<<20 {
		t.Errorf("%d KiB are used, want at most 6 MiB", used>>10)
	} else {
		t.Logf("%d KiB", used>>10)
	}
	runtime.KeepAlive(&s)
}
