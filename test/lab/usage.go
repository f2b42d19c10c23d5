package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: 1/100 s on every Linux that Go knows.
const tick = 10 * time.Millisecond

// Usage is what a process has taken of its machine so far.
type Usage struct {
	CPU    time.Duration // of all its threads, in user and kernel mode; counted in steps of 10 ms
	Memory int64         // resident, in bytes
}

// Usage is what the process has taken since its start.
func (p *Proc) Usage() (Usage, error) { return usage(p.Pid()) }

func usage(pid int) (Usage, error) {
	fields := stat(pid) // from the third of proc_pid_stat(5) on
	if len(fields) < 22 {
		return Usage{}, fmt.Errorf("usage of process %d: it has ended", pid)
	}
	var n [3]int64
	for i, s := range []string{fields[11], fields[12], fields[21]} { // utime, stime, rss
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
		}
		n[i] = v
	}
	return Usage{CPU: time.Duration(n[0]+n[1]) * tick, Memory: n[2] * int64(os.Getpagesize())}, nil
}

// Thread is a thread of a process.
type Thread struct {
	ID     int
	Policy int           // of its scheduling: 0 normal, 2 round robin
	Nice   int           // -20..19
	CPU    time.Duration // what it has run
	Waited time.Duration // what it was ready to run and did not
}

// Threads lists the threads of the process.
func (p *Proc) Threads() ([]Thread, error) {
	dir := fmt.Sprintf("/proc/%d/task", p.Pid())
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("threads of %s: %w", p.Name, err)
	}
	var list []Thread
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		fields := statOf(dir + "/" + e.Name() + "/stat")
		if len(fields) < 39 {
			continue // it has ended
		}
		t := Thread{ID: id}
		t.Nice, _ = strconv.Atoi(fields[16])
		t.Policy, _ = strconv.Atoi(fields[38])
		if b, err := os.ReadFile(dir + "/" + e.Name() + "/schedstat"); err == nil {
			if f := strings.Fields(string(b)); len(f) == 3 {
				ran, _ := strconv.ParseInt(f[0], 10, 64)
				waited, _ := strconv.ParseInt(f[1], 10, 64)
				t.CPU, t.Waited = time.Duration(ran), time.Duration(waited)
			}
		}
		list = append(list, t)
	}
	return list, nil
}
