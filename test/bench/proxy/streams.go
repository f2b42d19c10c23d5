package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is the time that a process has spent on the CPU, all threads, user and system.
func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// The name of the program may contain anything, but nothing after it has a parenthesis.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	user, err1 := strconv.ParseInt(string(f[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(f[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("/proc/%d/stat: unknown form", pid)
	}
	const tick = time.Second / 100 // USER_HZ
	return time.Duration(user+system) * tick, nil
}

// wrk loads a path over so many connections.
func wrk(path string, connections int, args ...string) load {
	total := regexp.MustCompile(`(\d+) requests in`)
	bad := regexp.MustCompile(`Non-2xx or 3xx responses: \d+|Socket errors: .*`)
	return func(ctx context.Context, p peer, burst time.Duration) (float64, error) {
		all := append([]string{"-c", loadCore, "wrk", "-t1", "-c" + strconv.Itoa(connections),
			fmt.Sprintf("-d%ds", max(1, int(burst.Seconds())))}, args...)
		out, err := exec.CommandContext(ctx, "taskset", append(all, fmt.Sprintf("http://127.0.0.1:%d%s", p.http, path))...).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("wrk: %w: %s", err, out)
		}
		if b := bad.Find(out); b != nil {
			return 0, fmt.Errorf("wrk: %s", b)
		}
		m := total.FindSubmatch(out)
		if m == nil {
			return 0, fmt.Errorf("wrk: unknown output: %s", out)
		}
		return strconv.ParseFloat(string(m[1]), 64)
	}
}

// bulk reads one stream as fast as it comes; the unit is a megabyte.
func bulk(ctx context.Context, p peer, burst time.Duration) (float64, error) {
	c, err := ask(ctx, p, 'B', burst)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buf := make([]byte, 256<<10)
	var n int64
	for {
		k, err := c.Read(buf)
		n += int64(k)
		if err != nil || ctx.Err() != nil {
			return float64(n) / 1e6, nil // ends by its deadline
		}
	}
}

// messages sends 64 bytes to and fro over 16 connections; the unit is a message.
func messages(ctx context.Context, p peer, burst time.Duration) (float64, error) {
	const connections = 16
	counts := make(chan float64, connections)
	for range connections {
		c, err := ask(ctx, p, 'E', burst)
		if err != nil {
			return 0, err
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 64)
			n := 0.0
			for ctx.Err() == nil {
				if _, err := c.Write(buf); err != nil {
					break
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					break
				}
				n += 2
			}
			counts <- n
		}()
	}
	sum := 0.0
	for range connections {
		sum += <-counts
	}
	return sum, nil
}

// ask connects to the source through a proxy and says what is wanted.
func ask(ctx context.Context, p peer, what byte, burst time.Duration) (net.Conn, error) {
	onLoadCore()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.tcp)))
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(burst))
	_, err = c.Write([]byte{what})
	return c, err
}

// onLoadCore puts this process, all its threads, beside the other load.
func onLoadCore() {
	core, _ := strconv.Atoi(loadCore)
	var set unix.CPUSet
	set.Set(core)
	tasks, _ := filepath.Glob("/proc/self/task/*")
	for _, t := range tasks {
		if tid, err := strconv.Atoi(filepath.Base(t)); err == nil {
			_ = unix.SchedSetaffinity(tid, &set)
		}
	}
}
