package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// newExplainCommand returns `tandem explain`.
func newExplainCommand(socket func() string) *cobra.Command {
	var at, since string
	var last, asJSON bool
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say why this node is what it is, and why the VIP moved",
		Long: `Say why this node is leader, standby or neither: the rule, what it was applied to, and what would change it.

With --at, --since or --last, tell the story of that time: each move of the VIP in a sentence (what happened, how it was noticed,
how long each step took, for how long nobody or two held), and then what this node noticed and decided, with the inputs of each
decision. A node remembers its last 1,000 decisions and 1,000 events, over restarts. What happened is best told by the node that took over.`,
		Example: `  tandem explain                              why is this node standby?
  tandem explain --last                       why did it move the last time?
  tandem explain --at 03:12                   why did it move at 03:12?
  tandem explain --at '2026-11-24 03:12:05'
  tandem explain --since 1h --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			q, err := question(at, since, last, now)
			if err != nil {
				return wrongUse{err}
			}
			e, err := api.Dial(socket()).Explain(cmd.Context(), q)
			if err != nil {
				return err
			}
			if !asJSON {
				return api.WriteExplanation(cmd.OutOrStdout(), e, now)
			}
			j := json.NewEncoder(cmd.OutOrStdout())
			j.SetIndent("", "  ")
			return j.Encode(e)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "the story of that time: 03:12, 03:12:05, or with a date before it")
	cmd.Flags().StringVar(&since, "since", "", "the story of the time since then: 30m, 1h, 2d")
	cmd.Flags().BoolVar(&last, "last", false, "the story of the last failover or handover to this node")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose names stay the same between versions")
	return cmd
}

func question(at, since string, last bool, now time.Time) (q api.Question, err error) {
	asked := 0
	for _, is := range []bool{at != "", since != "", last} {
		if is {
			asked++
		}
	}
	switch {
	case asked > 1:
		return q, errors.New("--at, --since and --last are three questions: ask one")
	case last:
		return api.Question{Last: true}, nil
	case at != "":
		q.From, q.To, err = moment(at, now)
		return q, err
	case since != "":
		d, err := ago(since)
		return api.Question{From: now.Add(-d), To: now}, err
	}
	return q, nil
}

// moment is the time around what somebody typed, in the reader's zone: somebody who names a minute means all of it.
func moment(s string, now time.Time) (from, to time.Time, err error) {
	const around = 15 * time.Second
	for _, f := range []struct {
		layout string
		length time.Duration
		today  bool
	}{
		{"15:04", time.Minute, true}, {"15:04:05", time.Second, true},
		{"2006-01-02 15:04", time.Minute, false}, {"2006-01-02 15:04:05", time.Second, false}, {time.RFC3339, time.Second, false},
	} {
		t, err := time.ParseInLocation(f.layout, s, now.Location())
		if err != nil {
			continue
		}
		if f.today {
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location())
			if t.After(now) {
				t = t.AddDate(0, 0, -1) // the last time that clocks said so
			}
		}
		return t.Add(-around), t.Add(f.length + around), nil
	}
	return from, to, fmt.Errorf("--at %q is no time; write 03:12, 03:12:05 or '2026-11-24 03:12:05'", s)
}

// ago reads a duration, in days too.
func ago(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(min(n, 3650) * 24 * float64(time.Hour))
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("--since %q is no time span; write 30m, 1h or 2d", s)
	}
	return d, nil
}
