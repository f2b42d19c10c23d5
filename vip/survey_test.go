package vip

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/vip/announce"
)

// Each round is who answered in it; what is told is told once, and taken back once.
func TestSurveyBelievesWhatComesAgain(t *testing.T) {
	leader, stranger := announce.MAC{2, 0, 0, 0, 0, 2}, announce.MAC{2, 0, 0, 0, 0, 66}
	const l, s, both, none = "leader", "stranger", "leader+stranger", ""
	tests := []struct {
		name        string
		rounds      []string
		news, wells int
		wrong       int // at the end
	}{
		{"the leader answers", []string{l, l, l}, 0, 0, 0},
		{"a stranger once", []string{l, s, l, both, l}, 0, 0, 0},
		{"a stranger twice", []string{l, s, both}, 1, 0, 1},
		{"a stranger for long is told once", []string{both, both, both, both}, 1, 0, 1},
		{"a stranger who leaves", []string{both, both, l, l}, 1, 1, 0},
		{"lost frames", []string{none, none, none, l, none, none, none, l}, 0, 0, 0},
		{"nobody for long", []string{none, none, none, none, none}, 1, 0, 1},
		{"nobody, then the leader", []string{none, none, none, none, l}, 1, 1, 0},
	}
	vip := netip.MustParseAddr("10.0.0.10")
	for _, tt := range tests {
		now := time.Now()
		var sv survey
		sv.follow("lb1", now)
		news, wells := 0, 0
		for _, who := range tt.rounds {
			now = sv.due()
			sv.begin([]netip.Addr{vip}, now)
			for name, m := range map[string]announce.MAC{l: leader, s: stranger} {
				if who == name || who == both {
					sv.answered(vip, m, now)
				}
			}
			n, w := sv.end(func(m net.HardwareAddr) bool { return slices.Equal(m, leader.HardwareAddr()) }, sv.due())
			news, wells = news+len(n), wells+len(w)
		}
		if got := len(sv.strays()); news != tt.news || wells != tt.wells || got != tt.wrong {
			t.Errorf("%s: told %d times, taken back %d times, %d wrong at the end, want %d, %d, %d", tt.name, news, wells, got, tt.news, tt.wells, tt.wrong)
		}
	}
}

func TestSurveyAsksAgainSoonerWhenInDoubt(t *testing.T) {
	vip := netip.MustParseAddr("10.0.0.10")
	var s survey
	now := time.Now()
	s.follow("lb1", now)
	if got := s.due().Sub(now); got != surveyAfter {
		t.Errorf("after a move it asks within %v, want %v", got, surveyAfter)
	}
	for _, want := range []time.Duration{surveyAgain, surveyAgain, surveyAgain, surveyEvery} { // silence; the last time it is believed
		now = s.due()
		s.begin([]netip.Addr{vip}, now)
		end := s.due()
		s.end(func(net.HardwareAddr) bool { return true }, end)
		if got := s.due().Sub(now); got != want && s.due().Sub(end) != want {
			t.Errorf("asks again after %v, want %v", got, want)
		}
	}
	s.follow("", now)
	if !s.due().IsZero() {
		t.Error("asks without a leader")
	}
}
