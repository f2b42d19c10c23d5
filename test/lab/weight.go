package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Weights of groups, as systemd counts them with CPUWeight=: what a unit has without that setting, and the most.
const (
	UsualWeight    = 100
	GreatestWeight = 10000
)

// ErrNoWeights means that no cgroup that shares the CPU may be made on this machine.
var ErrNoWeights = errors.New("no cgroup with a share of the CPU")

// weigher is a kind of cgroup that shares the CPU by weight: what file takes it, and what of the file's unit one of systemd's is.
type weigher struct {
	root, file string
	convert    func(weight int) int
}

// weighers are where they are mounted: the unified hierarchy, and the old one. Groups are made at the top, as systemd's are, beside each other.
func weighers() []weigher {
	return []weigher{
		{"/sys/fs/cgroup", "cpu.weight", func(w int) int { return w }},
		{"/sys/fs/cgroup/cpu", "cpu.shares", func(w int) int { return max(2, w*1024/100) }},
	}
}

// realTimeTotal is how long the real-time threads of all nodes may run of each second, in µs, where the kernel counts that per group. The top has 950 ms, and who
// has used up its own stands still for the rest of the second.
const realTimeTotal = 800_000

// weighted makes a group that has that share of the CPU beside others, until the lab ends.
func (l *Lab) weighted(weight int) (group, error) {
	for _, w := range weighers() {
		dir, err := os.MkdirTemp(w.root, "lab")
		if err != nil {
			continue
		}
		g := group{dir: dir, parent: filepath.Dir(dir)}
		if _, err := os.Stat(filepath.Join(dir, w.file)); err != nil {
			_ = g.end()
			continue
		}
		if err := g.write(w.file, strconv.Itoa(w.convert(weight))); err != nil {
			return group{}, errors.Join(fmt.Errorf("make a group of weight %d: %w", weight, err), g.end())
		}
		l.atEnd(func() { _ = g.end() })
		return g, nil
	}
	return group{}, ErrNoWeights
}

// allowRealTime lets threads of the group have real-time priority, which some kernels forbid in new groups.
func (g group) allowRealTime(µs int) error {
	const file = "cpu.rt_runtime_us"
	if b, err := os.ReadFile(filepath.Join(g.dir, file)); err != nil || strings.TrimSpace(string(b)) != "0" {
		return nil //nolint:nilerr // nothing to allow
	}
	return g.write(file, strconv.Itoa(µs))
}

// weigh gives what runs on the node the share of the CPU that the unit file gives it. The group outlives the processes, and is used again at the next start.
func (n *Node) weigh() error {
	weight := n.Pair.Config.Weight
	if weight == 0 {
		return nil
	}
	if n.share == nil {
		g, err := n.lab.weighted(weight)
		if err != nil {
			return err
		}
		if err := g.allowRealTime(realTimeTotal / len(n.Pair.Nodes)); err != nil {
			return err
		}
		n.share = &g
	}
	var pids []int
	for _, p := range n.Procs {
		pids = append(pids, p.Pid())
	}
	return n.share.take(pids)
}
