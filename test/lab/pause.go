package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// freezer is a kind of cgroup that can freeze, and what to write and read there.
type freezer struct{ root, line, file, freeze, thaw, state, frozen string }

// freezers are where they are mounted: the unified hierarchy, alone or beside the old ones, and the old freezer. line is how /proc/self/cgroup begins the line of each.
func freezers() []freezer {
	return []freezer{
		{"/sys/fs/cgroup", "0::", "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1"},
		{"/sys/fs/cgroup/unified", "0::", "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1"},
		{"/sys/fs/cgroup/freezer", ":freezer:", "freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN"},
	}
}

// own is the directory of this process's own group.
func (f freezer) own() string {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return f.root
	}
	for line := range strings.Lines(string(b)) {
		if _, path, ok := strings.Cut(strings.TrimSpace(line), f.line); ok {
			return filepath.Join(f.root, path)
		}
	}
	return f.root
}

// ErrNoFreezer means that no cgroup that can freeze may be made on this machine.
var ErrNoFreezer = errors.New("no cgroup freezer")

// Pause stops every process of the host as the freezer of a cgroup does, and as the pause of a container or of a virtual machine looks to those within: nobody gets a
// signal, parents see no child stop, and when it ends all threads go on where they were. Heal ends it.
func (l *Lab) Pause(h *Host) (*Fault, error) {
	for _, f := range freezers() {
		dir, err := os.MkdirTemp(f.own(), "lab")
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, f.file)); err != nil {
			_ = os.Remove(dir)
			continue
		}
		g := &group{dir: dir, parent: filepath.Dir(dir)}
		g.heal = sync.OnceValue(func() error { return errors.Join(g.write(f.file, f.thaw), g.end()) })
		if err := errors.Join(g.take(h.Pids()), g.write(f.file, f.freeze), g.await(f.state, f.frozen)); err != nil {
			return nil, errors.Join(fmt.Errorf("pause %s: %w", h.name, err), g.heal())
		}
		h.mu.Lock()
		h.pauses = append(h.pauses, g)
		h.mu.Unlock()
		return &Fault{What: "pause of " + h.name, heal: func() error { return h.resume(g) }}, nil
	}
	return nil, fmt.Errorf("pause %s: %w", h.name, ErrNoFreezer)
}

// resume ends one pause. The pause counts until all of its group run again.
func (h *Host) resume(g *group) error {
	err := g.heal()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pauses = slices.DeleteFunc(h.pauses, func(other *group) bool { return other == g })
	return err
}

func (h *Host) paused() []*group {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.pauses)
}

// group is a cgroup made for one pause.
type group struct {
	dir, parent string
	heal        func() error // lets all run and removes the group, once; later calls return what the first did
}

func (g *group) take(pids []int) error {
	var errs []error
	for _, pid := range pids {
		errs = append(errs, g.write("cgroup.procs", strconv.Itoa(pid)))
	}
	return errors.Join(errs...)
}

func (g *group) write(file, s string) error {
	return os.WriteFile(filepath.Join(g.dir, file), []byte(s), 0)
}

// await waits until the kernel says that all stand still; it takes some milliseconds at most.
func (g *group) await(file, want string) error {
	for range 1000 {
		b, err := os.ReadFile(filepath.Join(g.dir, file))
		if err != nil {
			return err
		}
		if strings.Contains(string(b), want) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s did not become %q", file, want)
}

// end puts the processes back to where all are, and removes the group.
func (g *group) end() error {
	b, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(string(b)) {
		_ = os.WriteFile(filepath.Join(g.parent, "cgroup.procs"), []byte(pid), 0) // it may have ended
	}
	for range 100 { // a process that ended is counted a moment longer
		if err = os.Remove(g.dir); err == nil {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return err
}
