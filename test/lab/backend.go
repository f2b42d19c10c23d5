package lab

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// BackendPort is where backends listen.
const BackendPort = 8080

// answerSize is the length of a backend's answer.
const answerSize = 1024

// An answer of /slow comes in parts, over 100 ms.
const (
	slowParts = 16
	slowPart  = 100 * time.Millisecond / slowParts
)

// Answer is what the backend of that name answers: its name, filled up to 1 KiB.
func Answer(name string) string {
	s := "backend " + name + "\n"
	return s + strings.Repeat(".", max(0, answerSize-1-len(s))) + "\n"
}

// Backend is a small HTTP server in a host, which says its name to everybody. It lives in the lab's own process.
type Backend struct {
	Host *Host
	Name string

	served atomic.Int64
	sick   atomic.Bool

	mu     sync.Mutex // guards server
	server *http.Server
}

// Backend starts a backend in the host, named as the host, on BackendPort, IPv4 and IPv6.
func (h *Host) Backend() (*Backend, error) {
	b := &Backend{Host: h, Name: h.name}
	if err := b.Start(); err != nil {
		return nil, err
	}
	h.lab.atEnd(b.Stop)
	return b, nil
}

// Addr is where the backend listens.
func (b *Backend) Addr() netip.AddrPort { return netip.AddrPortFrom(b.Host.Addr(), BackendPort) }

// Served counts the requests that got an answer; health probes are not counted.
func (b *Backend) Served() int64 { return b.served.Load() }

// SetSick makes /healthz answer 503 while everything else is served.
func (b *Backend) SetSick(sick bool) { b.sick.Store(sick) }

// Start begins to serve, again after Stop.
func (b *Backend) Start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return nil
	}
	var ln net.Listener
	err := b.Host.Do(func() (err error) {
		ln, err = net.ListenTCP("tcp", &net.TCPAddr{Port: BackendPort})
		return err
	})
	if err != nil {
		return fmt.Errorf("start backend %s: %w", b.Name, err)
	}
	server := &http.Server{Handler: b.handler()} //nolint:gosec // without timeouts on purpose: held connections are part of a test
	b.server = server
	go func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("backend %s: %v", b.Name, err)) // a lab whose backend died measures nothing
		}
	}()
	return nil
}

func (b *Backend) handler() http.Handler {
	mux, answer := http.NewServeMux(), []byte(Answer(b.Name))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if b.sick.Load() {
			http.Error(w, "sick", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		for part := range slices.Chunk(answer, len(answer)/slowParts) {
			_, _ = w.Write(part)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(slowPart)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		b.served.Add(1)
		_, _ = w.Write(answer)
	})
	return mux
}

// Stop ends the backend as a kill does: the listener and all connections close at once.
func (b *Backend) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		_ = b.server.Close()
		b.server = nil
	}
}
