package proxy

import (
	"net/http"
	"testing"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// When a name leads elsewhere, idle connections to where it led before meet no request.
func TestRequestsFollowANameToItsNewAddress(t *testing.T) {
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	l := newLabOn(t, ListenerConfig{Protocol: HTTP}, pool.Config{Name: "web", Backends: []pool.BackendConfig{{Name: "app", Host: "app", Port: 80}}})
	if resp, _ := l.get("127.0.0.1", ""); resp.StatusCode != 503 {
		t.Errorf("before it is resolved: %d, want 503", resp.StatusCode)
	}
	l.pools.SetAddress("web", "app", web(t, says("old")), "")
	for range 3 {
		if _, got := l.get("127.0.0.1", ""); got != "old" {
			t.Errorf("resolved: %q", got)
		}
	}
	l.pools.SetAddress("web", "app", web(t, says("new")), "")
	for range 3 {
		if _, got := l.get("127.0.0.1", ""); got != "new" {
			t.Errorf("moved: %q, want new", got)
		}
	}
}
