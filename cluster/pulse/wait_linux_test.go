package pulse

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// The runtime asks who has run for 10 ms to give way, and a normal thread would have to put the beat thread back. Real time, since it is the runtime's own.
func TestWaitDoesNotGiveWay(t *testing.T) {
	s, _ := loopback(t, "127.0.0.1:0")
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // for a collection it does give way
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 1))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var n uint64
	for range 3 { // a busy machine can put it aside between two waits
		before := scheduled()
		for began := time.Now(); time.Since(began) < 700*time.Millisecond; {
			if err := s.Wait(time.Now().Add(3 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		// Of eight times that a goroutine is put back one is counted. Without pinning it is some 40 times, and five are counted.
		if n = scheduled() - before; n <= 2 {
			return
		}
	}
	t.Errorf("goroutines were put aside and back some %d times in 700 ms of waiting", 8*n)
}

// scheduled is how often a goroutine that was ready has been run, as far as the runtime counts it.
func scheduled() (n uint64) {
	m := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(m)
	for _, c := range m[0].Value.Float64Histogram().Counts {
		n += c
	}
	return n
}

// A collection gets the place of a thread that waits: it must not take as long as the wait.
func TestWaitMakesWayForTheCollector(t *testing.T) {
	s, _ := loopback(t, "127.0.0.1:0")
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		ended <- s.Wait(time.Now().Add(time.Minute))
	}()
	began := time.Now()
	for range 20 {
		runtime.GC()
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("20 collections took %v beside a thread that waits", took)
	}
	s.Wake()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
