package vip

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/tandem-lb/tandem/vip/fence"
)

func TestPlan(t *testing.T) {
	a, b := netip.MustParsePrefix("10.0.0.10/32"), netip.MustParsePrefix("2001:db8::10/128")
	both := []netip.Prefix{a, b}
	hold, quiet, not := goal{hold: true}, goal{hold: true, quiet: true}, goal{}
	tests := []struct {
		name string
		g    goal
		f    fact
		want []step
	}{
		{"nothing wished, nothing there", not, fact{absent: both}, nil},
		{"a claim begins", hold, fact{absent: both}, []step{{do: arm}, {add, both}}},
		{"a claim waits for the hand", hold, fact{armed: true, absent: both, busy: true}, nil},
		{"a claim goes on with what is missing", hold, fact{armed: true, present: both[:1], absent: both[1:]}, []step{{add, both[1:]}}},
		{"the gate opens when all are there", hold, fact{armed: true, present: both}, []step{{do: open}}},
		{"and not while an address may be on its way out", hold, fact{armed: true, present: both, busy: true}, nil},
		{"a ticket is needed even when all are there", hold, fact{present: both}, []step{{do: arm}, {do: open}}},
		{"a quiet claim", quiet, fact{armed: true, present: both}, []step{{do: open}}},
		{"held", hold, fact{mode: fence.Open, present: both}, nil},
		{"held in silence", quiet, fact{mode: fence.Quiet, present: both}, nil},
		{"go quiet", quiet, fact{mode: fence.Open, present: both}, []step{{do: turn}}},
		{"speak", hold, fact{mode: fence.Quiet, present: both, busy: true}, []step{{do: turn}}},
		{"renew", hold, fact{mode: fence.Open, present: both, renew: true}, []step{{renew, both}}},
		{"renew later, when the hand is free", hold, fact{mode: fence.Open, present: both, renew: true, busy: true}, nil},
		{"put back before renewing", hold, fact{mode: fence.Open, present: both, vanished: both[:1], renew: true}, []step{{readd, both[:1]}}},
		{"release: the gate first", not, fact{mode: fence.Open, present: both}, []step{{do: shut}, {remove, both}}},
		{"release: the gate at once, the addresses when the hand is free", not, fact{mode: fence.Quiet, present: both, busy: true}, []step{{do: shut}}},
		{"a lapse: the gate is shut already", not, fact{present: both}, []step{{remove, both}}},
		{"a claim is called off", not, fact{armed: true, present: both[:1], absent: both[1:], busy: true}, []step{{do: shut}}},
	}
	for _, tt := range tests {
		if got := plan(tt.g, tt.f); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: plan(%+v, %+v) = %+v, want %+v", tt.name, tt.g, tt.f, got, tt.want)
		}
	}
}
