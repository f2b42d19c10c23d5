package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	// scarceEnv makes this test a process with few descriptors; it is the address of its backend.
	scarceEnv = "TANDEM_TEST_SCARCE"
	// scarce is how many it may have: a quarter of them is the reserve.
	scarce = 64
)

// A process that may have few files open: clients never take the reserve, and a listener survives that there is not one left.
func TestDescriptorsRunOut(t *testing.T) {
	if at := os.Getenv(scarceEnv); at != "" {
		beScarce(t, netip.MustParseAddrPort(at))
		return
	}
	say := startScarce(t, tcpBackend(t, hello))
	l := &lab{t: t, addr: say("address")}

	var held []*net.TCPConn
	for range scarce {
		if c, ok := l.held(); ok {
			held = append(held, c)
		}
	}
	if want := (scarce - scarce/4) / perSession; len(held) != want {
		t.Errorf("%d clients are served, want %d", len(held), want)
	}
	if got, err := strconv.Atoi(say("room")); err != nil || got < 2 { // of the 16, a process needs some itself
		t.Errorf("beside all clients there is room for %d files, want some for peers and admin (%v)", got, err)
	}
	for _, c := range held {
		c.Close()
	}
	say("idle")

	say("hog")
	c := l.dial() // by the kernel
	say("refused")
	say("free")
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Errorf("the client that has waited is not served: %v", err)
	}
	say("accepting")
}

// startScarce starts the process and returns how to ask it for something.
func startScarce(t *testing.T, backend netip.AddrPort) func(what string) string {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^TestDescriptorsRunOut$", "-test.timeout=1m") //nolint:gosec // ourselves; it ends with its input, or by its own timeout
	cmd.Env = append(os.Environ(), scarceEnv+"="+backend.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		in.Close()
		var last []string
		for lines.Scan() {
			last = append(last, lines.Text())
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process: %v\n%s", err, strings.Join(last, "\n"))
		}
	})
	return func(what string) string {
		t.Helper()
		fmt.Fprintln(in, what)
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), what+" ") {
			t.Fatalf("asked for %s: %q, %v", what, lines.Text(), lines.Err())
		}
		return strings.TrimPrefix(lines.Text(), what+" ")
	}
}

// beScarce is the process: a proxy, and hands that take what is left.
func beScarce(t *testing.T, backend netip.AddrPort) {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: scarce, Max: scarce}); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, ListenerConfig{Protocol: TCP}, backend)
	var hands []*os.File
	grab := func() {
		for {
			f, err := os.Open(os.DevNull)
			if err != nil {
				return
			}
			hands = append(hands, f)
		}
	}
	open := func() {
		for _, f := range hands {
			f.Close()
		}
		hands = nil
	}
	defer open()
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		answer := "done"
		switch asked.Text() {
		case "address":
			answer = l.addr
		case "room":
			grab()
			answer = fmt.Sprint(len(hands))
			open()
		case "idle":
			eventually(t, "nobody is there", func() bool { return l.proxy.Snapshot()[0].Sessions == 0 && l.proxy.budget.Used() == 0 })
		case "hog":
			grab()
		case "free":
			open()
		case "refused":
			eventually(t, "accepting fails", func() bool { return strings.Contains(l.log.String(), "accepting failed, clients wait") })
		case "accepting":
			eventually(t, "it is told", func() bool { return strings.Contains(l.log.String(), "accepting again") })
		}
		fmt.Println(asked.Text(), answer)
	}
}

// Bulk is moved through pipes, which are counted while they are there; without room for them it is moved all the same.
func TestPipesAreInTheBudget(t *testing.T) {
	const size = 8 << 20
	for _, p := range []Protocol{TCP, HTTP} {
		begun, goOn := make(chan bool), make(chan bool)
		l := newLab(t, ListenerConfig{Protocol: p}, tcpBackend(t, func(c *net.TCPConn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", size)
			_, _ = c.Write(make([]byte, size/2))
			begun <- true
			<-goOn
			_, _ = c.Write(make([]byte, size/2))
		}))
		budget := l.proxy.budget
		for _, room := range []bool{true, false} {
			hog, want := 0, perSession+perPipe
			if !room {
				for n := 1 << 30; n > 0; n /= 2 {
					for budget.Take(n) == nil {
						hog += n
					}
				}
				budget.Give(perSession)
				hog -= perSession
				want = perSession
			}
			c := l.dial()
			io.WriteString(c, getRequest)
			got := make(chan int64, 1)
			go func() { n, _ := io.Copy(io.Discard, c); got <- n }()
			<-begun
			eventually(t, fmt.Sprintf("%s with room %v: %d of the budget are used", p, room, want), func() bool { return budget.Used()-hog == want })
			goOn <- true
			if n := <-got; n < size {
				t.Errorf("%s with room %v: %d bytes have come", p, room, n)
			}
			budget.Give(hog)
			c.Close()
			eventually(t, "all is given back", func() bool { return budget.Used() == 0 })
		}
	}
}
