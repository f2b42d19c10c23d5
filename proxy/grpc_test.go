package proxy

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

const grpcCall = "POST /a.B/C HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nContent-Type: application/grpc+proto\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

func TestOurErrorsReachClientsOfGRPCAsTheyExpect(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, freeAddr(t))
	got := l.talk(grpcCall)
	for _, want := range []string{"HTTP/1.1 200 OK\r\n", "\r\nContent-Type: application/grpc\r\n", "\r\nGrpc-Status: 14\r\n", "\r\nGrpc-Message: no backend"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if got := l.talk(strings.Replace(grpcCall, "grpc+proto", "grpc-web", 1)); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("not gRPC: %q", got)
	}
}

// What a backend says of a call that it ended is told in gRPC's words, and takes no backend out if it is the application's word.
func TestResetsReachClientsOfGRPCAsTrailers(t *testing.T) {
	l := h2Lab(t, h2Web(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = io.WriteString(w, "part")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // INTERNAL_ERROR
	}))
	got := l.talk(grpcCall)
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "4\r\npart\r\n0\r\nGrpc-Status: 13\r\nGrpc-Message: backend reset the stream (INTERNAL_ERROR)\r\n\r\n") {
		t.Errorf("%q", got)
	}
}

func TestTrailersOnlyAnswersStayWhatTheyAre(t *testing.T) {
	var n atomic.Int64
	l := h2Lab(t, h2Web(t, func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "5")
	}))
	got := l.talk(grpcCall)
	if n.Load() != 1 || !strings.Contains(strings.ToLower(got), "\r\ngrpc-status: 5\r\n") || strings.Contains(strings.ToLower(got), "chunked") {
		t.Errorf("%q", got)
	}
}
