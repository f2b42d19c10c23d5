package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/test/lab"
)

// hogged runs busy loops at the greediest niceness for half a minute, with the proxy kept busy as well if asked for.
func hogged(saturated bool) func(context.Context, *bench, int) (result, error) {
	return func(ctx context.Context, b *bench, run int) (result, error) {
		if _, _, err := b.roles(ctx, run); err != nil {
			return result{}, err
		}
		// The client and the observer have real-time threads in this process. One that has to help with a collection spins until a normal thread gives way, which the
		// busy loops keep from running, and takes a core from everybody meanwhile, the nodes included.
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		lapsed := b.logged("gate lapsed")
		if saturated {
			end, err := b.saturate()
			if err != nil {
				return result{}, err
			}
			defer end()
		}
		f, err := b.pair.Hogs(8, -20)
		if err != nil {
			return result{}, err
		}
		r, err := b.during(ctx, f, 30*time.Second)
		r.Lapses = b.logged("gate lapsed") - lapsed
		return r, err
	}
}

// logged counts how often the nodes have said something.
func (b *bench) logged(words string) (n int) {
	for _, node := range b.pair.Nodes {
		log, err := os.ReadFile(node.LogPath())
		if err != nil {
			continue // it has said nothing: not Tandem
		}
		n += bytes.Count(log, []byte(words))
	}
	return n
}

// saturate starts a process that asks the VIP as fast as it can, as greedy as the busy loops are.
func (b *bench) saturate() (end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("nice", "-n", "-20", self, "-ask", b.addr(lab.PortHTTP).String()) //nolint:noctx // ends with the lab, or here
	p, err := b.pair.Crowd.Start("load", cmd)
	if err != nil {
		return nil, err
	}
	return func() {
		_ = p.Signal(unix.SIGKILL)
		<-p.Done()
	}, nil
}

// askers is how many connections saturate keeps busy.
const askers = 64

// ask is that process: requests without a pause, over connections that stay open, until it is killed or every connection has ended.
func ask(ctx context.Context, target string) error {
	var wg sync.WaitGroup
	errs := make([]error, askers)
	for i := range askers {
		wg.Go(func() {
			for ctx.Err() == nil {
				errs[i] = converse(ctx, target)
				select { // the VIP moves, or is away for a moment
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func converse(ctx context.Context, target string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return err
	}
	defer c.Close()
	request := []byte("GET / HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
	r := bufio.NewReader(c)
	for ctx.Err() == nil {
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		if _, err := c.Write(request); err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("hear: %w", err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return fmt.Errorf("hear: %w", err)
		}
	}
	return nil
}
