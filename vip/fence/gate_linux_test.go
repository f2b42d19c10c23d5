package fence

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

func vips() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("10.9.0.10"), netip.MustParseAddr("2001:db8::10")}
}

// inNamespace gives the test a network of its own, on a thread that ends with the test.
func inNamespace(t testing.TB) {
	t.Helper()
	need := func(err error) {
		if err == nil {
			return
		}
		if os.Getenv("TANDEM_NEED_ROOT") == "1" {
			t.Fatalf("a network namespace is needed: %v", err)
		}
		t.Skipf("a network namespace is needed (run as root): %v", err)
	}
	runtime.LockOSThread() // never unlocked: the thread ends, and with it the namespace
	ns, err := netns.New()
	need(err)
	t.Cleanup(func() { _ = ns.Close() })
}

func newGate(t testing.TB, timeout time.Duration) *Gate {
	t.Helper()
	g, err := New("lb1", vips(), timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	if err := g.Install(Shut); err != nil {
		t.Fatal(err)
	}
	return g
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLeaseIsRenewedUntilItHasRunOut(t *testing.T) {
	inNamespace(t)
	g := newGate(t, 100*time.Millisecond)
	must(t, g.Arm(7))
	must(t, g.Open(7, Open))
	for range 15 {
		time.Sleep(10 * time.Millisecond) // the kernel's timers are real
		must(t, g.Turn(Open, Open))
	}
	must(t, g.Turn(Open, Quiet))
	must(t, g.Turn(Quiet, Quiet))
	must(t, g.Turn(Quiet, Open))
	time.Sleep(120 * time.Millisecond)
	if err := g.Turn(Open, Open); !errors.Is(err, ErrLapsed) {
		t.Errorf("renewing after the lease ran out = %v, want %v", err, ErrLapsed)
	}
	if err := g.Turn(Open, Open); !errors.Is(err, ErrLapsed) {
		t.Errorf("renewing again = %v, want %v: a renewal must never begin a lease", err, ErrLapsed)
	}
	must(t, g.Shut())
	must(t, g.Shut())
}

func TestGateOpensOnlyWithAFreshTicket(t *testing.T) {
	inNamespace(t)
	g := newGate(t, 50*time.Millisecond)
	if err := g.Open(1, Open); !errors.Is(err, ErrLapsed) {
		t.Errorf("open without a ticket = %v, want %v", err, ErrLapsed)
	}
	must(t, g.Arm(1))
	if err := g.Open(2, Open); !errors.Is(err, ErrLapsed) {
		t.Errorf("open with another claim's ticket = %v, want %v", err, ErrLapsed)
	}
	time.Sleep(70 * time.Millisecond)
	if err := g.Open(1, Open); !errors.Is(err, ErrLapsed) {
		t.Errorf("open with an expired ticket = %v, want %v", err, ErrLapsed)
	}
	must(t, g.Arm(3))
	must(t, g.Shut())
	if err := g.Open(3, Open); !errors.Is(err, ErrLapsed) {
		t.Errorf("open with a ticket that was taken back = %v, want %v", err, ErrLapsed)
	}
	must(t, g.Arm(4))
	must(t, g.Open(4, Open))
	if err := g.Open(4, Open); !errors.Is(err, ErrLapsed) {
		t.Errorf("open with a torn ticket = %v, want %v", err, ErrLapsed)
	}
}

func TestTicketProlongsALeaseOnce(t *testing.T) {
	inNamespace(t)
	g := newGate(t, 100*time.Millisecond)
	must(t, g.Arm(1))
	must(t, g.Open(1, Open))
	for i := range uint32(15) {
		must(t, g.Arm(10+i))
		time.Sleep(10 * time.Millisecond)
		must(t, g.Renew(10+i, Open, Open))
		if err := g.Renew(10+i, Open, Open); !errors.Is(err, ErrLapsed) {
			t.Errorf("renew with a torn ticket = %v, want %v", err, ErrLapsed)
		}
	}
	must(t, g.Arm(90))
	must(t, g.Disarm())
	if err := g.Renew(90, Open, Open); !errors.Is(err, ErrLapsed) {
		t.Errorf("renew with a ticket that was taken back = %v, want %v", err, ErrLapsed)
	}
	must(t, g.Quieten())
	must(t, g.Turn(Quiet, Quiet))
	if err := g.Turn(Open, Open); !errors.Is(err, ErrLapsed) {
		t.Errorf("a quiet gate is still open: %v", err)
	}
	must(t, g.Arm(91))
	must(t, g.Renew(91, Quiet, Open))
	must(t, g.Turn(Open, Open))
	must(t, g.Arm(92))
	time.Sleep(120 * time.Millisecond)
	must(t, g.Arm(93))
	for _, ticket := range []uint32{92, 93} { // one has run out, and so has the lease of the other
		if err := g.Renew(ticket, Open, Open); !errors.Is(err, ErrLapsed) {
			t.Errorf("renew with ticket %d after the lease = %v, want %v", ticket, err, ErrLapsed)
		}
	}
}

func TestQuietingProlongsNothing(t *testing.T) {
	inNamespace(t)
	g := newGate(t, 100*time.Millisecond)
	must(t, g.Arm(1))
	must(t, g.Open(1, Open))
	time.Sleep(70 * time.Millisecond)
	must(t, g.Quieten())
	time.Sleep(50 * time.Millisecond)
	if err := g.Turn(Quiet, Quiet); !errors.Is(err, ErrLapsed) {
		t.Errorf("the lease was prolonged by falling silent: %v", err)
	}
}

func TestFlushedTablesAreToldFromALapse(t *testing.T) {
	inNamespace(t)
	g := newGate(t, time.Second)
	must(t, g.Arm(1))
	must(t, g.Open(1, Quiet))
	if _, err := Remove("lb1"); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"renew": g.Turn(Quiet, Quiet), "check": g.Check(), "arm": g.Arm(2), "open": g.Open(2, Open)} {
		if !errors.Is(err, ErrGone) {
			t.Errorf("%s without tables = %v, want %v", what, err, ErrGone)
		}
	}
	must(t, g.Install(Quiet))
	must(t, g.Turn(Quiet, Quiet))
	if removed, err := Remove("lb1"); err != nil || !removed {
		t.Errorf("Remove = %v, %v, want true, nil", removed, err)
	}
	if removed, err := Remove("lb1"); err != nil || removed {
		t.Errorf("Remove again = %v, %v, want false, nil", removed, err)
	}
}

// The thread that beats renews a hundred times a second, and must never wait for a collection of garbage that it has made itself.
func TestRenewalAllocatesNothing(t *testing.T) {
	inNamespace(t)
	g := newGate(t, 10*time.Second)
	must(t, g.Arm(1))
	must(t, g.Open(1, Open))
	if n := testing.AllocsPerRun(100, func() { must(t, g.Turn(Open, Open)) }); n != 0 {
		t.Errorf("a renewal allocates %v times", n)
	}
	ticket := uint32(100)
	if n := testing.AllocsPerRun(100, func() { ticket++; must(t, g.Arm(ticket)); must(t, g.Renew(ticket, Open, Open)) }); n != 0 {
		t.Errorf("a renewal by ticket allocates %v times", n)
	}
}

func TestRulesetIsReadableForAdministrators(t *testing.T) {
	inNamespace(t)
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("nft is not installed")
	}
	runtime.LockOSThread()
	newGate(t, time.Second)
	out, err := exec.Command(nft, "list", "ruleset").CombinedOutput() // started from this thread: in its namespace
	if err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func TestTableNames(t *testing.T) {
	names := map[string]string{"lb1": "tandem_lb1", "LB1": "", "lb-1": "", "lb_1": "tandem_lb_1", "": "tandem_", "ü": ""}
	seen := map[string]string{}
	for node, want := range names {
		got := Table(node)
		if want != "" && got != want {
			t.Errorf("Table(%q) = %q, want %q", node, got, want)
		}
		if other, dup := seen[got]; dup {
			t.Errorf("Table(%q) = Table(%q) = %q", node, other, got)
		}
		seen[got] = node
	}
}

func BenchmarkRenew(b *testing.B) {
	inNamespace(b)
	g := newGate(b, 10*time.Second)
	must(b, g.Arm(1))
	must(b, g.Open(1, Open))
	b.ReportAllocs()
	for b.Loop() {
		must(b, g.Turn(Open, Open))
	}
}
