package main

import (
	"strings"
	"testing"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

func TestWrongBackendOrdersAreWrongUse(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"backend", "tandem backend drain|maint|ready|reset POOL/NAME"},
		{"backend stop web/w1", `not "stop"`},
		{"backend drain", "want 1 arguments"},
		{"backend drain web1", "write POOL/NAME"},
		{"backend weight web/w1", "want 2 arguments"},
		{"backend weight web/w1 0", "from 1 to 256"},
		{"backend weight web/w1 257", "from 1 to 256"},
		{"backend reset web/w1 w2", "want 1 arguments"},
	} {
		status, stdout, stderr := tandem(t, strings.Fields(tt.args)...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("tandem %s: status %d, stdout %q, stderr %q, want 2 and %q", tt.args, status, stdout, stderr, tt.want)
		}
	}
}

func TestBackendTextSaysWhoKnows(t *testing.T) {
	got := backendText(api.BackendDone{
		Pool: "web", Backend: "w1", ByHand: &api.ByHand{State: "drain", Weight: 3, Reason: "new disk"}, Active: 7, Told: []string{"lb2"}, Untold: []string{"lb3"},
	})
	want := "web/w1: drain, weight 3 (set by hand: new disk); 7 sessions and requests here; known to lb2; NOT YET CONFIRMED by lb3"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := backendText(api.BackendDone{Pool: "web", Backend: "w1"}); !strings.HasPrefix(got, "web/w1: as the file says") {
		t.Error(got)
	}
}
