package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

const (
	// maxConns bounds the connections that are served at once.
	maxConns = 64
	// timeout bounds the reading of a request and the writing of an answer.
	timeout = 5 * time.Second
	// maxHeader bounds a request's header in bytes.
	maxHeader = 8 << 10
	// goodbye is how long answers that are under way may take when the server ends.
	goodbye = 500 * time.Millisecond
)

// Server serves the API.
type Server struct {
	path    string
	status  func() api.Status
	log     hclog.Logger
	orders  Orders  // nil: none are followed
	explain Explain // nil: it is refused
	set     SetBackend
}

// New returns a server for a socket at socketPath; nothing happens before Run. status is called concurrently, once a
// question, and must not block.
func New(socketPath string, status func() api.Status, log hclog.Logger) *Server {
	return &Server{path: socketPath, status: status, log: log}
}

// Run serves until ctx ends, and then returns nil once every answer has ended and the socket is removed. It makes the
// socket's directory if need be, and replaces a socket that nobody serves any more; one that is served is an error.
func (s *Server) Run(ctx context.Context) error {
	sock, err := claim(ctx, s.path)
	if err != nil {
		return err
	}
	defer sock.release()
	s.log.Debug("socket opened", "path", s.path)
	return s.Serve(ctx, sock.listener)
}

// Serve is Run on a listener of the caller's, which it closes.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	guests := &room{Listener: knowing{l}, most: maxConns}
	running := &running{}
	srv := &http.Server{
		Handler:           running.wrap(guests.serving(s.handler())),
		ConnContext:       known,
		ReadHeaderTimeout: timeout,
		ReadTimeout:       timeout,
		WriteTimeout:      timeout,
		IdleTimeout:       timeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(guests) }()
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serve %s: %w", s.path, err)
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		if srv.Shutdown(end) != nil { // somebody is slow: that is their loss
			_ = srv.Close()
		}
		if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
			err = fmt.Errorf("serve %s: %w", s.path, e)
		}
	}
	running.end()
	return err
}

// running lets the server's end wait for handlers; http.Server.Close does not.
type running struct {
	mu    sync.RWMutex // read-locked by every handler while it runs; guards ended
	ended bool
}

func (g *running) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.RLock()
		defer g.mu.RUnlock()
		if !g.ended {
			h.ServeHTTP(w, r)
		}
	})
}

// end returns when no handler runs, and none will.
func (g *running) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(api.StatusPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			answer(w, http.StatusMethodNotAllowed, api.Problem{Error: "this is a question: use GET"})
			return
		}
		st := s.status()
		st.Complete()
		answer(w, http.StatusOK, st)
	})
	s.ordersTo(mux)
	s.backendsTo(mux)
	s.reloadTo(mux)
	s.explainTo(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, api.Problem{Error: "there is no such page here: want GET " + api.StatusPath + ", or POST " + api.HandoverPath + ", " + api.MaintenancePath + " or " + api.BackendPath})
	})
	return mux
}

func answer(w http.ResponseWriter, code int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil { // a float that JSON does not know
		code, body = http.StatusInternalServerError, []byte(`{"error": "the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // whoever went away misses the answer
}
