package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/pool"
)

func TestTakenPortIsToldAndTriedAgain(t *testing.T) {
	taken, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bind := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addrOf(taken).Port())
	free := freeAddr(t)
	good, _ := script(t, okAnswer)
	pools := pool.NewSet([]pool.Config{{Name: "web", Backends: []pool.BackendConfig{{Name: "a", Address: good}}}})
	log := &syncBuffer{}
	p, err := New(Config{Listeners: []ListenerConfig{
		{Name: "taken", Bind: bind, Protocol: HTTP, Pool: "web"},
		{Name: "free", Bind: free, Protocol: HTTP, Pool: "web"},
	}}, pools, hclog.New(&hclog.LoggerOptions{Output: log}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	await := func(what string, ok func([]ListenerStatus) bool) {
		t.Helper()
		for timeout := time.After(10 * time.Second); !ok(p.Snapshot()); {
			select {
			case <-p.Changed():
			case <-timeout:
				t.Fatalf("%s: %+v", what, p.Snapshot())
			}
		}
	}
	await("one opens, the other tells why not", func(s []ListenerStatus) bool { return !s[0].Open && s[0].Error != "" && s[1].Open })
	self := fmt.Sprintf("(pid %d) has it", os.Getpid())
	if e := p.Snapshot()[0].Error; !strings.Contains(e, self) || !strings.Contains(e, "address already in use") {
		t.Errorf("error %q does not name this process: %s", e, self)
	}
	taken.Close()
	await("opens when the port is free", func(s []ListenerStatus) bool { return s[0].Open && s[0].Error == "" })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "could not open"); n != 1 {
		t.Errorf("told %d times that the port is taken, want once:\n%s", n, log)
	}
}

func TestPortThatNeedsACapabilityIsToldSo(t *testing.T) {
	for _, tt := range []struct {
		bind string
		want string
	}{
		{"10.0.0.10:80", "bind: permission denied: needs CAP_NET_BIND_SERVICE for ports below 1024"},
		{"10.0.0.10:8080", "bind: permission denied"},
	} {
		p := &Proxy{changed: make(chan struct{}, 1), log: hclog.NewNullLogger()}
		l := newListener(p, ListenerConfig{Bind: netip.MustParseAddrPort(tt.bind)}, nil, make([]way, 1))
		newDoor(l)
		l.failed(fmt.Errorf("bind: %w", unix.EACCES), 0)
		if got := l.snapshot().Error; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.bind, got, tt.want)
		}
	}
}

func TestAddressNeedNotBeHere(t *testing.T) {
	for _, a := range []string{"192.0.2.1", "2001:db8::1"} {
		s, err := open(t.Context(), ListenerConfig{Bind: netip.AddrPortFrom(netip.MustParseAddr(a), 0), Protocol: TCP})
		if err != nil {
			t.Errorf("listen on %s: %v", a, err)
			continue
		}
		s.Close()
	}
}

func TestListenersSitOnHighDescriptors(t *testing.T) {
	cfg := ListenerConfig{Bind: netip.MustParseAddrPort("127.0.0.1:0"), Protocol: TCP}
	sockets, errs := openAll(t.Context(), cfg, cfg)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for _, s := range sockets {
		defer s.Close()
		raw, err := s.(*net.TCPListener).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) {
			if want := min(limit.Cur-headroom, highest); uint64(fd) < want {
				t.Errorf("descriptor %d, want at least %d", fd, want)
			}
		})
	}
	if n := len(openDescriptors(t)); n > 1000 {
		t.Errorf("%d descriptors are open after listening", n)
	}
}

func openDescriptors(t *testing.T) []os.DirEntry {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return fds
}

func TestNewTellsEveryProblem(t *testing.T) {
	pools := pool.NewSet([]pool.Config{{Name: "web"}})
	_, err := New(Config{Listeners: []ListenerConfig{
		{Name: "a", Protocol: TCP, Pool: "web"},
		{Name: "a", Protocol: TCP, Pool: "web"},
		{Name: "b", Protocol: TCP, Pool: "nowhere"},
		{Name: "c", Protocol: "sctp", Pool: "web"},
	}}, pools, hclog.NewNullLogger())
	for _, want := range []string{"twice", "nowhere", "sctp"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

func TestDrainLetsRequestsEndAndAsksClientsToClose(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	backend := web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(asked)
			<-release
		}
		io.WriteString(w, "ok")
	})
	l := newLab(t, ListenerConfig{Protocol: HTTP}, backend)
	idle, slow := l.dial(), l.dial()
	idleReader := bufio.NewReader(idle)
	io.WriteString(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	readResponse(t, idleReader, "GET")
	io.WriteString(slow, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	for l.proxy.Active() != 1 {
		time.Sleep(time.Millisecond) // the idle one has just been answered
	}
	stopped := make(chan error, 1)
	go func() { stopped <- l.proxy.Shutdown(context.Background()) }()
	if _, err := idleReader.ReadByte(); err != io.EOF {
		t.Errorf("idle connection: %v, want its end", err)
	}
	if c, err := net.Dial("tcp", l.addr); err == nil {
		c.Close()
		t.Error("a draining listener still accepts")
	}
	close(release)
	resp, body := readResponse(t, bufio.NewReader(slow), "GET")
	if body != "ok" || !resp.Close {
		t.Errorf("got %q close %v, want the answer and Connection: close", body, resp.Close)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	for _, protocol := range []Protocol{TCP, HTTP} {
		asked := make(chan struct{})
		l := newLab(t, ListenerConfig{Protocol: protocol}, tcpBackend(t, func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 1))
			close(asked)
			io.Copy(io.Discard, c)
		}))
		c := l.dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-asked
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := l.proxy.Shutdown(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Shutdown: %v, want to be told that sessions were cut", protocol, err)
		}
		if _, err := io.ReadAll(c); err == nil {
			t.Errorf("%s: the client was not reset", protocol)
		}
	}
}

func TestClosingAsksClientsToComeAgain(t *testing.T) {
	addr, _ := script(t, okAnswer, okAnswer, okAnswer)
	l := newLab(t, ListenerConfig{Protocol: HTTP}, addr)
	c := l.dial()
	r := bufio.NewReader(c)
	ask := func() *http.Response {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, _ := readResponse(t, r, "GET")
		return resp
	}
	if ask().Close {
		t.Error("closed without being asked to")
	}
	l.proxy.SetClosing(true)
	if !ask().Close {
		t.Error("not asked to close")
	}
	l.proxy.SetClosing(false)
	if got := l.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "ok") {
		t.Errorf("a new client got %q", got)
	}
}

func TestActiveCountsWhatClientsWaitFor(t *testing.T) {
	step := make(chan struct{})
	l := newLab(t, ListenerConfig{Protocol: HTTP}, web(t, func(http.ResponseWriter, *http.Request) { step <- struct{}{}; <-step }))
	settle := func(want int, when string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); l.proxy.Active() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d active, want %d", when, l.proxy.Active(), want)
			}
		}
	}
	settle(0, "at rest")
	c := l.dial()
	settle(1, "connected and not answered")
	r := bufio.NewReader(c)
	for range 2 {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-step
		settle(1, "in flight")
		step <- struct{}{}
		readResponse(t, r, "GET")
		settle(0, "kept alive")
	}
	if st := l.proxy.Snapshot()[0]; st.Sessions != 1 || st.Accepted != 1 || l.proxy.Accepted() != 1 {
		t.Errorf("%+v, accepted %d", st, l.proxy.Accepted())
	}
	c.Close()
}

func TestListenerSurvivesWantOfDescriptors(t *testing.T) {
	addr, _ := script(t, okAnswer)
	l := newLab(t, ListenerConfig{Protocol: HTTP}, addr)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.addr) // its descriptor is there before the limit falls
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddrPort(l.addr)
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()})
	for end := time.Now().Add(5 * time.Second); err == nil && !strings.Contains(l.log.String(), "accepting failed") && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	if e := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); e != nil || err != nil {
		t.Fatal(e, err)
	}
	if _, err := unix.Write(fd, []byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	n, err := unix.Read(fd, buf)
	if err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
		t.Errorf("who waited got %q, %v", buf[:max(n, 0)], err)
	}
	if n := strings.Count(l.log.String(), "accepting failed"); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
}
