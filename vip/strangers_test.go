package vip_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/vip/viptest"
)

func TestGateOfAnotherNodeIsToldUntilItIsGone(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		h.SetStranger("lb9", netip.MustParseAddr("10.9.0.10"))
		s.begin()
		got := s.keep.State().Strangers
		if len(got) != 1 || got[0].Table != "tandem_lb9" || got[0].Command() != "nft delete table inet tandem_lb9" {
			t.Fatalf("State.Strangers = %+v, want the table of lb9", got)
		}
		time.Sleep(30 * time.Second)
		const told = "[ERROR] vip: the gate of another node silences a vip on this host"
		if n := strings.Count(s.log.String(), told); n != 1 || !strings.Contains(s.log.String(), `remove="nft delete table inet tandem_lb9"`) {
			t.Errorf("told %d times:\n%s", n, s.log.String())
		}
		h.SetStranger("")
		s.must(12*time.Second, "it is seen to be gone", func() bool { return len(s.keep.State().Strangers) == 0 })
		s.expect("it is told that it is gone", strings.Contains(s.log.String(), "no gate of another node is over a vip any more"))
	})
}

func TestGateOfAFormerNameIsRemoved(t *testing.T) {
	onFake(t, func(s *story, h *viptest.Host) {
		s.begin()
		record := readFile(t, s.cfg)
		s.mute()
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		// As if lb1 had been killed, and the host been given another name.
		writeFile(t, s.cfg, record)
		h.SetStranger("lb1", netip.MustParseAddr("10.9.0.10"))
		s.cfg.Node = "lb1.example.org"
		s.begin()
		s.expect("the gate of the former name is gone", len(s.keep.State().Strangers) == 0)
		s.hold(1)
		s.expect("it answers", s.all(s.answers))
	})
}
