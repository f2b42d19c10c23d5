package command

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// searches bounds how often the process table is searched: a command that forks faster than it is stopped may win some rounds.
	searches = 20
	// maxProcesses bounds one search.
	maxProcesses = 1 << 16
)

// killAll kills a child that leads a session, its session, its process group, and the descendants of all of these: all are stopped first, so that
// none loses its parent, by which it is known, while others are killed. The child must not have been reaped yet.
func killAll(pid int) {
	var found []int
	for range searches {
		n := len(found)
		found = family(pid, processes())
		for _, p := range found {
			_ = unix.Kill(p, unix.SIGSTOP)
		}
		if len(found) <= n {
			break // nobody has forked meanwhile
		}
	}
	for _, p := range found {
		_ = unix.Kill(p, unix.SIGKILL)
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
}

// process is a line of the process table.
type process struct {
	pid, parent, group, session int
	dead                        bool
}

// family finds the living among a process that leads a session, its descendants, and the members of their groups and sessions.
func family(root int, table []process) []int {
	in := map[int]bool{root: true}
	for grown := true; grown; {
		grown = false
		for _, p := range table {
			if !in[p.pid] && (in[p.group] || in[p.session] || in[p.parent]) {
				in[p.pid], grown = true, true
			}
		}
	}
	var alive []int
	for _, p := range table {
		if in[p.pid] && !p.dead {
			alive = append(alive, p.pid)
		}
	}
	return alive
}

// processes reads the process table, as far as this process may see it.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxProcesses)
	var table []process
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended
		}
		if p, ok := parseStat(stat); ok {
			table = append(table, p)
		}
	}
	return table
}

// parseStat reads /proc/PID/stat: pid (name) state ppid pgrp session …, where the name may contain anything.
func parseStat(b []byte) (p process, ok bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return p, false
	}
	rest := bytes.Fields(b[end+1:])
	if len(rest) < 4 || len(rest[0]) != 1 {
		return p, false
	}
	p.dead = rest[0][0] == 'Z' || rest[0][0] == 'X'
	for _, n := range []struct {
		text []byte
		into *int
	}{{bytes.TrimSpace(b[:open]), &p.pid}, {rest[1], &p.parent}, {rest[2], &p.group}, {rest[3], &p.session}} {
		v, err := strconv.Atoi(string(n.text))
		if err != nil {
			return p, false
		}
		*n.into = v
	}
	return p, true
}
