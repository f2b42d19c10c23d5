package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/election"
)

func TestMaintenanceOfTheLeaderHandsOverFirst(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		a := w.hosts["lb1"].ask(time.Second, Word{Do: MaintenanceOn})[0]
		a.wants(t, "", "")
		wantHolder(t, w, "lb2")
		if !a.o.Moved || a.o.To != "lb2" || w.nobody > 2*time.Millisecond || w.dual > 0 {
			t.Errorf("told %+v; nobody held for %v, two for %v", a.o, w.nobody, w.dual)
		}
		if !w.hosts["lb1"].kept.Maintenance {
			t.Error("maintenance was not kept when the word was answered")
		}
		w.run(50 * time.Millisecond)
		if s := w.hosts["lb2"].node.Status(); s.ByHand || !s.Peers[0].Maintenance || s.Peers[0].Fit {
			t.Errorf("lb2 says %+v of its peer, by hand %v; want maintenance, and not by hand", s.Peers, s.ByHand)
		}
		w.kill("lb2")
		w.run(3 * time.Second)
		wantHolder(t, w, "")
		if s := w.hosts["lb1"].node.Status(); !s.Maintenance || s.Reason != election.ReasonMaintenance {
			t.Errorf("lb1 says %+v", s)
		}
		w.hosts["lb1"].ask(time.Second, Word{Do: MaintenanceOff})[0].wants(t, "", "")
		w.run(500 * time.Millisecond)
		wantHolder(t, w, "lb1")
	})
}

func TestMaintenanceSurvivesARestart(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb2 := w.hosts["lb2"]
		lb2.ask(time.Second, Word{Do: MaintenanceOn})[0].wants(t, "", "")
		lb2.cancel()
		w.run(time.Second)
		<-lb2.done
		w.start("lb2")
		w.run(2 * time.Second)
		w.kill("lb1")
		w.run(3 * time.Second)
		wantHolder(t, w, "")
		lb2.ask(time.Second, Word{Do: MaintenanceOff})[0].wants(t, "", "")
		w.run(time.Second)
		wantHolder(t, w, "lb2")
		if lb2.kept.Maintenance {
			t.Error("the end of maintenance was not kept")
		}
	})
}

func TestEndOfMaintenanceMovesNothing(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb1 := w.hosts["lb1"]
		lb1.ask(time.Second, Word{Do: MaintenanceOn})[0].wants(t, "", "")
		w.run(time.Second)
		lb1.ask(time.Second, Word{Do: MaintenanceOff})[0].wants(t, "", "")
		w.run(5 * time.Second)
		wantHolder(t, w, "lb2")
	})
}

func TestLastFitNodeRefusesMaintenance(t *testing.T) {
	for _, leads := range []bool{true, false} {
		story(t, func(t *testing.T, w *world) {
			h, o := w.hosts["lb1"], w.hosts["lb2"]
			if !leads {
				h, o = o, h
				w.mu.Lock()
				o.facts.LinkUp = false
				w.mu.Unlock()
				w.run(5 * time.Millisecond) // it takes over in a moment
			}
			w.mu.Lock()
			o.facts.LinkUp = false
			w.mu.Unlock()
			w.run(20 * time.Millisecond)
			h.ask(time.Second, Word{Do: MaintenanceOn})[0].wants(t, RefusedLastFit, "--force")
			w.run(time.Second)
			wantHolder(t, w, h.name)
			if h.kept.Maintenance {
				t.Error("it is in maintenance all the same")
			}
			a := h.ask(time.Second, Word{Do: MaintenanceOn, Force: true})[0]
			a.wants(t, "", "")
			wantHolder(t, w, "")
			if a.o.Note == "" {
				t.Error("nothing was said of nobody holding")
			}
		})
	}
}

func TestMaintenanceWhoseHandoverFailsIsOff(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb1 := w.hosts["lb1"]
		w.mu.Lock()
		w.hosts["lb2"].deaf = errors.New("no")
		w.mu.Unlock()
		lb1.ask(time.Second, Word{Do: MaintenanceOn})[0].wants(t, FailedCancelled, "lb1 leads on")
		w.run(time.Second)
		wantHolder(t, w, "lb1")
		if s := lb1.node.Status(); s.Maintenance || lb1.kept.Maintenance {
			t.Error("lb1 is in maintenance")
		}
		lb1.ask(time.Second, Word{Do: MaintenanceOn, Force: true})[0].wants(t, "", "")
		w.run(50 * time.Millisecond)
		wantHolder(t, w, "")
	})
}

func TestMaintenanceThatCannotBeKeptSaysSo(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		lb2 := w.hosts["lb2"]
		w.mu.Lock()
		lb2.full = errors.New("no space left on device")
		w.mu.Unlock()
		lb2.ask(time.Second, Word{Do: MaintenanceOn})[0].wants(t, FailedUnkept, "maintenance is on, but will not outlive a restart of lb2: no space left")
		if !lb2.node.Status().Maintenance {
			t.Error("it is off")
		}
	})
}

func TestHandoverToANodeInMaintenanceIsRefused(t *testing.T) {
	story(t, func(t *testing.T, w *world) {
		w.hosts["lb2"].ask(time.Second, Word{Do: MaintenanceOn})[0].wants(t, "", "")
		w.run(20 * time.Millisecond)
		w.hosts["lb1"].ask(time.Second, Word{Do: Handover, To: "lb2"})[0].wants(t, RefusedUnfit, "lb2 is in maintenance")
		w.hosts["lb2"].ask(time.Second, Word{Do: Handover})[0].wants(t, RefusedNoStandby, "lb1: no standby could take over: lb2 is in maintenance")
		w.hosts["lb1"].ask(time.Second, Word{Do: MaintenanceOn})[0].wants(t, RefusedLastFit, "lb2 is in maintenance")
		wantHolder(t, w, "lb1")
	})
}
