package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"time"
)

// idlers is how many connections wait, each after one request: as many as HAProxy takes with 20,000 descriptors.
const idlers = 7000

// idle returns how much memory of the process a waiting connection takes, in KiB. What the kernel has for it is not counted.
func idle(ctx context.Context, p peer, _ time.Duration) (sample, error) {
	before, err := resident(p.pid)
	if err != nil {
		return sample{}, err
	}
	var conns []*net.TCPConn
	defer func() {
		for _, c := range conns {
			_ = c.SetLinger(0)
			_ = c.Close()
		}
	}()
	buf := make([]byte, 4096)
	for range idlers {
		c, err := dial(ctx, p.http)
		if err != nil {
			return sample{}, err
		}
		conns = append(conns, c)
		if _, err := io.WriteString(c, request); err != nil {
			return sample{}, err
		}
		for n := 0; ; {
			k, err := c.Read(buf[n:])
			if err != nil {
				return sample{}, fmt.Errorf("connection %d: %w", len(conns), err)
			}
			n += k
			if end := bytes.Index(buf[:n], []byte("\r\n\r\n")); end >= 0 && n >= end+4+1024 {
				break
			}
		}
	}
	select {
	case <-ctx.Done():
		return sample{}, ctx.Err()
	case <-time.After(2 * time.Second):
	}
	after, err := resident(p.pid)
	return sample{Cost: (after - before) / idlers, Rate: idlers}, err
}

// resident is the memory of a process, in KiB.
func resident(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		return 0, fmt.Errorf("/proc/%d/status: no VmRSS", pid)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
