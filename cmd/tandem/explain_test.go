package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

func TestATimeThatSomebodyTypesMeansTheLastOneAndAllOfIt(t *testing.T) {
	zone := time.FixedZone("somewhere", 3600)
	now := time.Date(2026, 11, 24, 3, 30, 0, 0, zone)
	day := func(d, h, m, s int) time.Time { return time.Date(2026, 11, d, h, m, s, 0, zone) }
	for _, c := range []struct {
		at       string
		from, to time.Time
	}{
		{"03:12", day(24, 3, 11, 45), day(24, 3, 13, 15)},
		{"03:12:05", day(24, 3, 11, 50), day(24, 3, 12, 21)},
		{"23:59", day(23, 23, 58, 45), day(24, 0, 0, 15)}, // yesterday: today's has not come
		{"2026-11-20 03:12", day(20, 3, 11, 45), day(20, 3, 13, 15)},
		{"2026-11-20 03:12:05", day(20, 3, 11, 50), day(20, 3, 12, 21)},
		{"2026-11-20T02:12:05Z", day(20, 3, 11, 50), day(20, 3, 12, 21)},
	} {
		q, err := question(c.at, "", false, now)
		if err != nil || !q.From.Equal(c.from) || !q.To.Equal(c.to) {
			t.Errorf("--at %q = %v to %v, %v; want %v to %v", c.at, q.From, q.To, err, c.from, c.to)
		}
	}
	if q, err := question("", "2d", false, now); err != nil || q.From != now.Add(-48*time.Hour) || q.To != now {
		t.Errorf("--since 2d = %+v, %v", q, err)
	}
	if q, err := question("", "", false, now); err != nil || q != (api.Question{}) {
		t.Errorf("no question = %+v, %v", q, err)
	}
}

func TestWrongQuestionsSayWhatIsRight(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--at", "noon"}, "write 03:12, 03:12:05 or '2026-11-24 03:12:05'"},
		{[]string{"--since", "-1h"}, "write 30m, 1h or 2d"},
		{[]string{"--since", "xd"}, "write 30m, 1h or 2d"},
		{[]string{"--since", "1h", "--last"}, "ask one"},
	} {
		if status, _, stderr := tandem(t, append([]string{"explain"}, c.args...)...); status != statusWrong || !strings.Contains(stderr, c.want) {
			t.Errorf("tandem explain %v: status %d, %q; want 2 and %q", c.args, status, stderr, c.want)
		}
	}
}
