package vip

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
	"unsafe"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/vip/announce"
	"github.com/tandem-lb/tandem/vip/fence"
	"github.com/tandem-lb/tandem/vip/link"
)

// host is the kernel under us.
type host struct {
	links   *link.Links
	mu      sync.Mutex             // guards watches
	watches map[string]*link.Watch // by interface: the first ones, opened in the right network namespace
}

var _ System = (*host)(nil)

// Open opens the real system: the network namespace of the calling thread. A Keeper that uses another namespace than its process's first must also be
// run on a thread in it (runtime.LockOSThread). Run closes the system.
func Open(cfg Config, _ hclog.Logger) (System, error) {
	links, err := link.Open()
	if err != nil {
		return nil, err
	}
	h := &host{links: links, watches: make(map[string]*link.Watch)}
	for _, l := range cfg.Links() {
		w, err := links.Watch(l.Interface)
		if err != nil {
			return nil, errors.Join(err, h.Close())
		}
		h.watches[l.Interface] = w
	}
	return h, nil
}

func (h *host) Watch(ctx context.Context, name string, each func(link.Fact)) error {
	h.mu.Lock()
	w := h.watches[name]
	delete(h.watches, name)
	h.mu.Unlock()
	if w == nil {
		var err error
		if w, err = h.links.Watch(name); err != nil {
			return err
		}
	}
	return w.Run(ctx, each)
}

func (h *host) Look(name string) (link.Fact, error)        { return h.links.Look(name) }
func (h *host) Neighbours(index int) ([]netip.Addr, error) { return h.links.Neighbours(index) }
func (h *host) Add(index int, p netip.Prefix, life time.Duration) error {
	return h.links.Add(index, p, life)
}
func (h *host) Remove(index int, p netip.Prefix) error { return h.links.Remove(index, p) }

func (h *host) Gate(node string, vips []netip.Addr, timeout time.Duration) (Gate, error) {
	return fence.New(node, vips, timeout)
}

func (h *host) Listen(index int, six bool) (Port, error) { return announce.Listen(index, six) }

func (h *host) Clock() time.Duration {
	var ts unix.Timespec
	// Raw, since it does not block: the thread that beats keeps its place in Go's scheduler.
	if _, _, e := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0); e != 0 {
		return 0 // cannot be on Linux since 2.6.39
	}
	return time.Duration(ts.Nano())
}

func (h *host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, w := range h.watches { // never run: end their sockets
		_ = w.Run(ctx, func(link.Fact) {})
	}
	clear(h.watches)
	return h.links.Close()
}
