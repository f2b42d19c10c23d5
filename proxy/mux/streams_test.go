package mux

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

func TestStreamsBeyondGoAwayWereNotSeen(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		first, second := l.open(get), l.open(get)
		early, _ := l.set.Open(time.Second, false, l.dial) // nothing was sent yet
		p := l.peer(0)
		_ = p.WriteGoAway(1, http2.ErrCodeNo, nil)
		if got, err := l.read(second); got != "" || !errors.Is(err, ErrUnseen) {
			t.Errorf("beyond: read %q, %v, want ErrUnseen", got, err)
		}
		if n, err := io.WriteString(early, get); n != 0 || !errors.Is(err, ErrUnseen) {
			t.Errorf("asking then: %d, %v, want 0 and ErrUnseen", n, err)
		}
		early.Close()
		third := l.open(get)
		l.peer(1).headers(1, true, ":status=204")
		if got, err := l.read(third); got != "HTTP/1.1 204 \r\n\r\n" || err != nil {
			t.Errorf("on the new connection: read %q, %v", got, err)
		}
		p.headers(1, true, ":status=200")
		if got, err := l.read(first); !strings.Contains(got, " 200 ") || err != nil {
			t.Errorf("below: read %q, %v", got, err)
		}
		if err := p.WriteData(1, true, nil); err == nil {
			t.Error("the old connection is still open")
		}
	})
}

func TestResetsAreToldAsWhatTheyAre(t *testing.T) {
	for _, code := range []http2.ErrCode{http2.ErrCodeRefusedStream, http2.ErrCodeInternal, http2.ErrCodeCancel, http2.ErrCodeEnhanceYourCalm} {
		inLab(t, Config{}, func(l *lab) {
			s, other := l.open(get), l.open(get)
			p := l.peer(0)
			_ = p.WriteRSTStream(1, code)
			_, err := l.read(s)
			r, ok := errors.AsType[*ResetError](err)
			if !ok || r.Code != code || errors.Is(err, ErrUnseen) != (code == http2.ErrCodeRefusedStream) {
				t.Errorf("%v: read ends with %v", code, err)
			}
			p.headers(3, true, ":status=200")
			if _, err := l.read(other); err != nil {
				t.Errorf("the other stream ends with %v", err)
			}
		})
	}
}

func TestWhatCameBeforeAResetIsRead(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		s := l.open(get)
		p := l.peer(0)
		p.headers(1, false, ":status=200")
		p.data(1, false, "abc")
		_ = p.WriteRSTStream(1, http2.ErrCodeInternal)
		got, err := l.read(s)
		if !strings.HasSuffix(got, "\r\n\r\n3\r\nabc\r\n") || err == nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

// An answer that is whole counts, even if the backend then says that it wants no more of the request (RFC 9113, 8.1).
func TestEarlyAnswersEndTheRequest(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		s := l.open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
		p := l.peer(0)
		p.headers(1, true, ":status=413")
		_ = p.WriteRSTStream(1, http2.ErrCodeNo)
		synctest.Wait()
		if _, err := io.WriteString(s, "more"); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write: %v, want io.ErrClosedPipe", err)
		}
		if got, err := l.read(s); !strings.Contains(got, " 413 ") || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		p.heard()
		s.Close()
		p.expect()
	})
}

func TestClosingResetsOnlyTheStream(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		s, other := l.open(get), l.open(get)
		p := l.peer(0)
		p.heard()
		s.Close()
		p.expect("RST_STREAM 1 CANCEL")
		p.headers(1, false, ":status=200") // was on its way
		p.data(1, false, "x")
		p.headers(3, true, ":status=200")
		if _, err := l.read(other); err != nil || l.opened() != 1 {
			t.Errorf("the other stream ends with %v, %d connections", err, l.opened())
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close: %v", err)
		}
	})
}

func TestBackendsLimitTheirStreams(t *testing.T) {
	inLab(t, Config{MaxConns: 3}, func(l *lab) {
		l.settings = []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 2}}
		var all []*Stream
		for range 6 {
			all = append(all, l.open(get))
		}
		if n := l.opened(); n != 3 {
			t.Errorf("%d connections, want 3", n)
		}
		if _, err := l.set.Open(0, true, l.dial); !errors.Is(err, ErrFull) {
			t.Errorf("the seventh: %v, want ErrFull", err)
		}
		l.peer(1).headers(3, true, ":status=200") // one has ended
		if s, err := l.set.Open(0, false, l.dial); err != nil || s.conn.conn == all[0].conn.conn {
			t.Errorf("after an end: %v", err)
		} else {
			s.Close()
		}
		all[0].Close() // and one was given up
		if s, err := l.set.Open(0, false, l.dial); err != nil || s.conn != all[0].conn {
			t.Errorf("after a close: %v", err)
		}
	})
}

func TestABackendMayTakeBackWhatItAllowed(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		l.open(get)
		_ = l.peer(0).WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		synctest.Wait()
		l.open(get)
		if n := l.opened(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	})
}

func TestManyWaitForOneDial(t *testing.T) {
	for _, fails := range []bool{false, true} {
		inLab(t, Config{MaxStreams: 10}, func(l *lab) {
			l.slow = 100 * time.Millisecond
			if fails {
				l.refuse = errors.New("refused")
			}
			var wg sync.WaitGroup
			for range 25 {
				wg.Go(func() {
					_, err := l.set.Open(0, false, l.dial)
					if (err != nil) != fails {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := l.opened(); !fails && n != 3 {
				t.Errorf("%d connections, want 3", n)
			}
		})
	}
}

// Who has no other backend to turn to tries for itself when a hurried attempt of others has failed.
func TestTheLastChoiceTriesForItself(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		hurried := make(chan error, 1)
		go func() {
			_, err := l.set.Open(0, false, func() (net.Conn, time.Time, error) {
				time.Sleep(100 * time.Millisecond)
				return nil, time.Time{}, os.ErrDeadlineExceeded
			})
			hurried <- err
		}()
		synctest.Wait()
		if _, err := l.set.Open(0, true, l.dial); err != nil {
			t.Errorf("the last choice: %v", err)
		}
		if err := <-hurried; err == nil {
			t.Error("the hurried one got a stream")
		}
	})
}

func TestWhoDoesNotSpeakHTTP2IsFoundOutAtOnce(t *testing.T) {
	for _, answer := range []string{"", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "\x00\x00\x00\x04\x01\x00\x00\x00\x00"} {
		inLab(t, Config{}, func(l *lab) {
			l.mute = true
			began := time.Now()
			go func() {
				p := l.peer(0)
				go io.Copy(io.Discard, p.conn)
				io.WriteString(p.conn, answer)
			}()
			if _, err := l.set.Open(0, false, l.dial); !errors.Is(err, errNotHTTP2) || time.Since(began) > time.Second {
				t.Errorf("%q: %v after %v", answer, err, time.Since(began))
			}
			if l.ended != 0 {
				t.Error("a connection that never was has ended")
			}
		})
	}
}

// dead makes the backend of a connection that has answered once fall silent.
func dead(l *lab) *peer {
	s := l.open(get)
	p := l.peer(0)
	p.headers(1, true, ":status=204")
	_, _ = l.read(s)
	p.stop()
	return p
}

func TestADeadConnectionHangsNobodyForLong(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		dead(l)
		time.Sleep(time.Minute)
		victim := l.open(get)
		time.Sleep(doubtAfter + time.Second)
		if l.open(get); l.opened() != 2 {
			t.Error("the next request takes the dead connection, too")
		}
		began := time.Now()
		_, err := victim.Read(make([]byte, 1))
		if took := time.Since(began); !errors.Is(err, ErrSilent) || took > pingLimit+time.Second {
			t.Errorf("the first one ends with %v after %v", err, took)
		}
	})
}

func TestALivingConnectionAnswersThePing(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		l.open(get)
		p := l.peer(0)
		p.expect("HEADERS 1 :method=GET :scheme=http :authority=a :path=/ END")
		time.Sleep(pingAfter + time.Second)
		p.expect("PING 0")
		_ = p.WritePing(true, [8]byte{})
		time.Sleep(pingLimit + 2*time.Second)
		if l.open(get); l.opened() != 1 {
			t.Error("the connection was given up")
		}
	})
}

// gRPC's servers take it ill when they are asked often while they have nothing to say.
func TestPingsAreFew(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		l.open(get)
		p := l.peer(0)
		pings := 0
		for range 15 * 60 {
			time.Sleep(time.Second)
			if strings.Contains(strings.Join(p.heard(), " "), "PING") {
				pings++
				_ = p.WritePing(true, [8]byte{})
			}
		}
		if pings != maxPings+2 {
			t.Errorf("%d pings in 15 minutes, want %d", pings, maxPings+2)
		}
		p.headers(1, false, ":status=200")
		time.Sleep(pingAfter + time.Second)
		p.expect("PING 0") // data came, so it may be asked again
		_ = p.WritePing(true, [8]byte{})
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	inLab(t, Config{Idle: 15 * time.Second}, func(l *lab) {
		s := l.open(get)
		p := l.peer(0)
		p.headers(1, true, ":status=204")
		_, _ = l.read(s)
		other := l.open(get)
		p.headers(3, false, ":status=200")
		for range 12 { // it is in use
			time.Sleep(5 * time.Second)
			p.data(3, false, "x")
		}
		p.data(3, true, "")
		_, _ = l.read(other)
		p.heard()
		time.Sleep(14 * time.Second)
		p.expect()
		time.Sleep(2 * time.Second)
		p.expect("GOAWAY 0 NO_ERROR")
		if l.open(get); l.opened() != 2 {
			t.Error("the closed connection is used")
		}
	})
}

func TestALostConnectionEndsItsStreams(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		s := l.open("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		_ = l.peer(0).conn.Close()
		if _, err := l.read(s); !errors.Is(err, io.EOF) || !errors.As(err, new(*LostError)) {
			t.Errorf("read ends with %v", err)
		}
		if _, err := io.WriteString(s, "1\r\nx\r\n"); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write: %v", err)
		}
	})
}

func TestASlowReaderHoldsUpNobody(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		slow, quick := l.open(get), l.open(get)
		p := l.peer(0)
		p.headers(1, false, ":status=200")
		p.headers(3, false, ":status=200")
		chunk := strings.Repeat("x", 16<<10)
		for range streamWindow / len(chunk) {
			p.data(1, false, chunk)
		}
		total := 0
		for range 5 * connWindow / len(chunk) {
			p.data(3, false, chunk)
			got, _ := l.read(quick)
			total += strings.Count(got, "x")
		}
		if total != 5*connWindow {
			t.Errorf("the quick one got %d bytes of %d", total, 5*connWindow)
		}
		p.data(1, false, "y") // beyond the window
		if got, err := l.read(slow); strings.Count(got, "x") != streamWindow || !errors.Is(err, ErrMalformed) {
			t.Errorf("the slow one got %d bytes, %v", strings.Count(got, "x"), err)
		}
	})
}

func TestWindowsGrowForWhoReads(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		s := l.open(get)
		p := l.peer(0)
		p.headers(1, false, ":status=200")
		for range 100 {
			p.data(1, false, strings.Repeat("x", 16<<10))
			_, _ = l.read(s)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		given := streamWindow - 100*16<<10
		for _, f := range p.got {
			var n int
			if _, err := fmt.Sscanf(f, "WINDOW_UPDATE 1 %d", &n); err == nil {
				given += n
			}
		}
		if given > largestWindow || given < largestWindow/2 {
			t.Errorf("the window is %d in the end, want about %d", given, largestWindow)
		}
	})
}

func TestRequestsWaitForWindows(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		l.settings = []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 10}}
		s := l.open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\n")
		p := l.peer(0)
		p.heard()
		if _, err := io.WriteString(s, "abcdefghijklmnopqrstuvwxyz"); err != nil { // it does not wait
			t.Fatal(err)
		}
		p.expect(`DATA 1 "abcdefghij"`)
		_ = p.WriteWindowUpdate(1, 3)
		p.expect(`DATA 1 "klm"`)
		_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 15})
		p.expect(`DATA 1 "nopqr"`)
		_ = p.WriteWindowUpdate(1, 100)
		p.expect(`DATA 1 "stuvwxyz" END`)
	})
}

func TestABackendThatTakesNothingIsGivenUp(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		s := l.open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
		began := time.Now()
		_, err := s.Write(make([]byte, firstWindow+maxUnsent+1))
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != 10*time.Second {
			t.Errorf("Write: %v after %v", err, took)
		}
	})
}

func TestTheConnectionsWindowIsShared(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		l.settings = []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}}
		const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 80000\r\n\r\n"
		one, two := l.open(post), l.open(post)
		go one.Write(make([]byte, 80000))
		synctest.Wait()
		go two.Write(make([]byte, 80000))
		p := l.peer(0)
		sent := func() (n [2]int) {
			for _, f := range p.heard() {
				var id, k int
				if _, err := fmt.Sscanf(f, "DATA %d %d bytes", &id, &k); err == nil {
					n[id/2] += k
				}
			}
			return n
		}
		if n := sent(); n[0]+n[1] != firstWindow {
			t.Errorf("%v bytes were sent in a window of %d", n, firstWindow)
		}
		_ = p.WriteWindowUpdate(0, 1<<20)
		if n := sent(); n[0]+n[1] != 160000-firstWindow {
			t.Errorf("then %v bytes of %d", n, 160000-firstWindow)
		}
	})
}

// A backend that asks and does not listen costs no memory without bound.
func TestAFloodEndsTheConnection(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		s := l.open(get)
		p := l.peer(0)
		p.stop()
		for range 100_000 {
			if p.WritePing(false, [8]byte{}) != nil {
				break
			}
		}
		if _, err := l.read(s); err == nil || s.conn.out.Len() > 2*maxControl {
			t.Errorf("read ends with %v, %d bytes wait", err, s.conn.out.Len())
		}
	})
}

func TestAnsweredIsOfTheConnection(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		s := l.open(get)
		if s.Answered() {
			t.Error("before the first answer")
		}
		l.peer(0).headers(1, true, ":status=204")
		if !l.open(get).Answered() {
			t.Error("after it")
		}
		if !l.waiting(l.open(get)) {
			t.Error("an answer came to nobody's question")
		}
	})
}

// A backend that is elsewhere now is asked there; what was asked before is answered from where it was.
func TestLeavingConnectionsEndWithTheirLastStream(t *testing.T) {
	inLab(t, Config{}, func(l *lab) {
		first := l.open(get)
		p := l.peer(0)
		l.set.Leave()
		second := l.open(get)
		l.peer(1).headers(1, true, ":status=204")
		if got, err := l.read(second); got != "HTTP/1.1 204 \r\n\r\n" || err != nil {
			t.Errorf("on the new connection: read %q, %v", got, err)
		}
		p.headers(1, true, ":status=200")
		if got, err := l.read(first); !strings.Contains(got, " 200 ") || err != nil {
			t.Errorf("on the old one: read %q, %v", got, err)
		}
		first.Close()
		if err := p.WriteData(1, true, nil); err == nil {
			t.Error("the old connection is still open")
		}
	})
}
