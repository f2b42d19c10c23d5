package certs

import (
	"os"
	"slices"
	"syscall"
	"time"
)

// Watch tells when files have changed. They are looked at, not subscribed to: that works for links that are turned, for
// files that are replaced, and for network file systems. The zero value watches nothing. It is for one goroutine.
type Watch struct {
	paths        []string
	seen, loaded []stamp
}

// stamp is what changes when a file does.
type stamp struct {
	dev, ino uint64
	size     int64
	modified time.Time
}

// NewWatch watches paths, which have been read just now, or will be before the next look.
func NewWatch(paths ...string) Watch {
	w := Watch{paths: paths}
	w.loaded = w.stamps()
	w.seen = w.loaded
	return w
}

// Changed reports whether the files should be read anew: they have changed, and stayed so since the last look, since
// a certificate and its key are not written in one moment. It says so once for each change.
func (w *Watch) Changed() bool {
	now := w.stamps()
	settled := slices.Equal(now, w.seen)
	w.seen = now
	if !settled || slices.Equal(now, w.loaded) {
		return false
	}
	w.loaded = now
	return true
}

func (w *Watch) stamps() []stamp {
	out := make([]stamp, len(w.paths))
	for i, p := range w.paths {
		st, err := os.Stat(p)
		if err != nil {
			continue
		}
		out[i] = stamp{size: st.Size(), modified: st.ModTime()}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			out[i].dev, out[i].ino = sys.Dev, sys.Ino
		}
	}
	return out
}
