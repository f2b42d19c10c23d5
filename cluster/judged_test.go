package cluster

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/cluster/election"
	"github.com/tandem-lb/tandem/cluster/gossip"
)

func TestReachIsComparedOnlyBetweenEqualConfigurations(t *testing.T) {
	n := New(Options{Policy: election.Policy{Name: "lb1"}, Meta: gossip.Meta{ConfigHash: 7}, Log: hclog.NewNullLogger()})
	member := func(name string, state gossip.State, hash uint64) gossip.Member {
		return gossip.Member{Name: name, State: state, Meta: gossip.Meta{ConfigHash: hash}}
	}
	for _, c := range []struct {
		what string
		m    []gossip.Member
		want int
	}{
		{"alone", nil, 100},
		{"equal", []gossip.Member{member("lb1", gossip.Alive, 7), member("lb2", gossip.Alive, 7)}, 100},
		{"another", []gossip.Member{member("lb2", gossip.Alive, 8)}, 0},
		{"another, suspected", []gossip.Member{member("lb2", gossip.Suspect, 8)}, 0},
		{"another that has left", []gossip.Member{member("lb2", gossip.Left, 8)}, 100},
		{"a witness", []gossip.Member{member("lb2", gossip.Alive, 7), member("w", gossip.Alive, 0)}, 100},
	} {
		if got := n.comparable(100, c.m); got != c.want {
			t.Errorf("%s: counts %d, want %d", c.what, got, c.want)
		}
	}
}

func TestEachChangeOfFitnessIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	n := New(Options{Policy: election.Policy{Settle: time.Second}, Log: hclog.New(&hclog.LoggerOptions{Output: &log, DisableTime: true})})
	n.started = time.Now()
	well, worse := Fitness{Fit: true}, Fitness{Fit: true, Slow: 50, Why: "file /x fails"}
	later := n.started.Add(time.Minute)
	for _, c := range []struct {
		what string
		f    Fitness
		at   time.Time
		want string
	}{
		{"the link is not looked at yet", Fitness{Why: "link: down"}, n.started, ""},
		{"all is well", well, later, ""},
		{"worse", worse, later, "[WARN]  fitness got worse: fit=true unfitness=50 before=0 reason=\"file /x fails\"\n"},
		{"the same", worse, later, ""},
		{"well again", well, later, "[INFO]  fitness changed: fit=true unfitness=0 before=50 reason=\"nothing is wrong\"\n"},
		{"unfit", Fitness{Why: "link: down"}, later, "[WARN]  fitness got worse: fit=false unfitness=0 before=0 reason=\"link: down\"\n"},
	} {
		log.Reset()
		n.judged(c.f, c.at)
		if got := log.String(); strings.TrimSpace(got) != strings.TrimSpace(c.want) {
			t.Errorf("%s: told %q, want %q", c.what, got, c.want)
		}
	}
}
