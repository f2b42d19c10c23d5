package health

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestReloadInheritsStatesAndProbesOnlyWhatIsNewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := Config{Interval: time.Minute, Fall: 1}
		w := start(t, func(f *fakeNet) { f.serve(web1, accept) },
			target("web", "web1", web1.String(), slow), target("web", "web2", web2.String(), slow), target("web", "web3", "10.0.1.23:80", slow))
		after(2 * time.Second)
		before := w.Snapshot()
		if before[0].State != Up || before[1].State != Down {
			t.Fatalf("at first %+v", before)
		}
		told, probed := len(w.told()), len(w.times(web1))

		other := slow
		other.Rise = 5
		commit, err := w.Prepare([]Target{
			target("web", "web2", web2.String(), other), target("web", "web1", web1.String(), slow), target("web", "web3", "10.0.1.24:80", slow),
			target("web", "web4", web1.String(), slow),
		})
		if err != nil {
			t.Fatal(err)
		}
		after(0)
		if st := w.Snapshot(); len(st) != 3 || len(w.told()) != told {
			t.Fatalf("before the commit %+v", st)
		}
		commit()
		now := w.Snapshot()
		if now[0].State != Down || now[0].Since != before[1].Since || now[1] != before[0] || now[2].State != Unchecked || now[3].State != Unchecked {
			t.Errorf("at the commit %+v, want down as before, up as before, and two unchecked", now)
		}
		after(2 * time.Second)
		if n := len(w.times(web1)); n != probed+1 { // web4's; web1's next is due in a minute
			t.Errorf("%d probes of 10.0.1.21 after the reload, want 1", n-probed)
		}
		if now := w.Snapshot(); now[0].State != Down || now[2].State != Down || now[3].State != Up {
			t.Errorf("after probes %+v", now)
		}
		w.serve(web2, accept)
		after(2 * time.Minute)
		if st := w.Snapshot()[0]; st.State != Up || st.Count < 5 {
			t.Errorf("by the new rise %+v, want up after 5", st)
		}
		w.stop()
	})
}

func TestReloadEndsTheProbesOfWhatHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(f *fakeNet) { f.serve(web1, accept); f.serve(web2, accept) },
			target("web", "web1", web1.String(), Config{}), target("web", "web2", web2.String(), Config{}))
		after(3 * time.Second)
		commit, err := w.Prepare([]Target{target("web", "web1", web1.String(), Config{Type: None})})
		if err != nil {
			t.Fatal(err)
		}
		commit()
		one, two := len(w.times(web1)), len(w.times(web2))
		w.serve(web2, nil)
		after(time.Minute)
		if len(w.times(web1)) != one || len(w.times(web2)) != two {
			t.Error("they are still probed")
		}
		if st := w.Snapshot(); len(st) != 1 || st[0].State != Unchecked {
			t.Errorf("%+v, want one, unchecked", st)
		}
		w.stop()
	})
}

func TestPrepareRefusesWhatCannotBeProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(f *fakeNet) { f.serve(web1, accept) }, target("web", "web1", web1.String(), Config{}))
		if _, err := w.Prepare([]Target{target("web", "web1", web1.String(), Config{Type: "smoke"})}); err == nil {
			t.Error("prepared")
		}
		after(time.Second)
		if st := w.Snapshot(); len(st) != 1 || st[0].State != Up {
			t.Errorf("%+v", st)
		}
		w.stop()
	})
}
