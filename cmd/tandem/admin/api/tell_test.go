package api

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/journal"
)

func TestAnExplanationReadsWell(t *testing.T) {
	at := func(ms int) time.Time { return ago(10 * time.Minute).Add(time.Duration(ms) * time.Millisecond) }
	inputs := func(state string) journal.Inputs {
		return journal.Inputs{
			Self:  journal.Who{Name: "lb2", Is: []string{"link up", "fit"}, HeardMS: -1, Term: 3},
			Peers: []journal.Who{{Name: "lb1", Is: []string{state, "holds"}, HeardMS: 4.12, Term: 3, Rank: 10}},
			Wire:  []string{"nobody answers"},
		}
	}
	story := Explanation{
		Node: "lb2", From: at(-3000), To: at(3000), Now: []string{"not told here"},
		Before: &journal.Entry{Boot: "a", At: ago(30 * time.Hour), Decision: &journal.Decision{Reason: "peer-holds", Why: "a peer holds", About: "lb1", Inputs: inputs("heard")}},
		Entries: []journal.Entry{
			{Boot: "a", At: at(0), Event: &journal.Event{What: "stream-broke", Peer: "lb1", Text: "the stream to lb1 ended 4.1ms after its last beat"}, Count: 8, Last: at(900)},
			{Boot: "a", At: at(1), Decision: &journal.Decision{Hold: true, Term: 4, Reason: "peer-crashed", Why: "the leader's process died", About: "lb1", Inputs: inputs("crashed")}},
			{Boot: "a", At: at(3), Move: &journal.Move{
				At: at(3), Kind: journal.Failover, From: "lb1", To: "lb2", Term: 4, Cause: "lb1's process died", Noticed: "its stream ended, and its listener refused",
				Steps: []journal.Step{{Name: "noticed", Took: journal.Exactly(900 * time.Microsecond)}, {Name: "address", Took: journal.Exactly(600 * time.Microsecond)}},
				Took:  journal.Exactly(7 * time.Millisecond), Blackout: journal.Between(3*time.Millisecond, 7*time.Millisecond), Dual: journal.AtMost(197 * time.Millisecond),
			}},
			{Boot: "b", At: at(2000), Event: &journal.Event{What: "started", Text: "this node has started\x1b[31m"}},
		},
	}
	quiet := Explanation{Node: "lb2", From: at(0), To: at(3000), Before: story.Before}
	for name, e := range map[string]Explanation{"explain-story": story, "explain-quiet": quiet, "explain-now": {Now: []string{"lb2 is standby because lb1 leads.", "lb1: heard."}}} {
		var out bytes.Buffer
		if err := WriteExplanation(&out, e, now); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil { //nolint:gosec // a golden file
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s (%v): got\n%swant\n%s", file, err, out.String(), want)
		}
	}
}
