package health

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// paused makes a dialer on a host that sleeps for d while it connects.
func paused(d time.Duration) dialFunc {
	return func(context.Context, netip.AddrPort) (net.Conn, error) {
		time.Sleep(d)
		return nil, os.ErrDeadlineExceeded
	}
}

func TestAFailureAfterOversleepIsForgivenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		w := newWatch(target("web", "web1", web1.String(), Config{Fall: 1}), paused(10*time.Second), logger(&log))
		for i, want := range []State{Unchecked, Down} {
			r := w.probe(t.Context())
			w.take(r)
			if w.track.state != want || w.pause() > w.cfg.Interval {
				t.Errorf("late failure %d (%+v): state %s, want %s", i+1, r, w.track.state, want)
			}
		}
		if !strings.Contains(log.String(), "late=true") {
			t.Errorf("the log does not say that the probes were late:\n%s", &log)
		}
	})
}

func TestAProbeThatCouldNotBeMadeIsRepeatedSoon(t *testing.T) {
	var log logBuffer
	w := newWatch(target("web", "web1", web1.String(), Config{}), nil, logger(&log))
	w.take(passed("connected"))
	if w.pause() != w.cfg.Interval {
		t.Errorf("pause while up = %v, want %v", w.pause(), w.cfg.Interval)
	}
	w.take(result{local: true})
	if w.pause() != w.cfg.FastInterval {
		t.Errorf("pause after a probe that could not be made = %v, want %v", w.pause(), w.cfg.FastInterval)
	}
}

func TestATimeoutThatEndsInTimeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		w := newWatch(target("web", "web1", web1.String(), Config{Fall: 1}), paused(510*time.Millisecond), logger(&log))
		if r := w.probe(t.Context()); !w.take(r) || w.track.state != Down || r.reason != "timeout after 500ms (connect)" {
			t.Errorf("%+v made the backend %s, want down", r, w.track.state)
		}
	})
}

func TestDefaultsAreBoundedByTheInterval(t *testing.T) {
	for _, c := range []struct{ in, want Config }{
		{Config{}, Config{Interval: time.Second, FastInterval: 250 * time.Millisecond, Timeout: 500 * time.Millisecond}},
		{Config{Interval: 200 * time.Millisecond}, Config{Interval: 200 * time.Millisecond, FastInterval: 100 * time.Millisecond, Timeout: 200 * time.Millisecond}},
		{Config{Interval: 50 * time.Millisecond}, Config{Interval: 50 * time.Millisecond, FastInterval: 50 * time.Millisecond, Timeout: 50 * time.Millisecond}},
		{Config{Interval: time.Minute, FastInterval: time.Hour, Timeout: time.Hour}, Config{Interval: time.Minute, FastInterval: time.Minute, Timeout: time.Minute}},
	} {
		got := c.in.WithDefaults()
		if got.Interval != c.want.Interval || got.FastInterval != c.want.FastInterval || got.Timeout != c.want.Timeout {
			t.Errorf("%+v became %+v, want %+v", c.in, got, c.want)
		}
		if got.Rise != 2 || got.Fall != 3 || got.Type != TCP || got.Method != "GET" || got.Path != "/" || len(got.Expect) != 1 {
			t.Errorf("defaults of %+v: %+v", c.in, got)
		}
	}
}

func TestWrongConfigurationsAreTold(t *testing.T) {
	for want, c := range map[string]Config{
		"":                           {Type: HTTP, Path: "/a?b=c", Host: "[::1]:80", Expect: []StatusRange{{200, 204}}},
		`type "icmp"`:                {Type: "icmp"},
		"negative":                   {Rise: -1},
		`path "health"`:              {Path: "health"},
		`path "//a/b"`:               {Path: "//a/b"},
		`path "http://a/b"`:          {Path: "http://a/b"},
		`path "/a b`:                 {Path: "/a b\r\nX-Evil: 1"},
		`method "GET /"`:             {Method: "GET /"},
		"CONNECT":                    {Method: "CONNECT"},
		"HEAD has no body":           {Method: "HEAD", ExpectBody: "x"},
		"at most 65536 bytes":        {ExpectBody: strings.Repeat("x", maxBody+1)},
		`host "a\r\nb"`:              {Host: "a\r\nb"},
		"status 99-200":              {Expect: []StatusRange{{99, 200}}},
		"status 300-200":             {Expect: []StatusRange{{300, 200}}},
		"expected status 600: want ": {Expect: []StatusRange{{600, 600}}},
	} {
		err := c.Validate()
		switch {
		case want == "" && err != nil:
			t.Errorf("%+v: %v", c, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%+v: %v, want an error that contains %q", c, err, want)
		}
	}
}

func TestAConfigurationThatCannotBeProbedWithIsAFailureNotAPanic(t *testing.T) {
	for _, c := range []Config{{Path: "no"}, {Method: "G T"}, {Host: "a\r\nb: c"}, {Expect: []StatusRange{{0, 0}}}} {
		if r := probeOnce(t, c, answer(ok)); r.ok || strings.ContainsAny(r.reason, "\r\n") {
			t.Errorf("%+v: %+v, want a failure in one line", c, r)
		}
	}
}
