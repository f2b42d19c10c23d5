package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandem-lb/tandem/cluster/journal"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// now is the reader's clock in all golden files: three at night.
var now = time.Date(2026, 3, 2, 3, 10, 10, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// afterFailover is a leader ten minutes after its peer's host lost power.
func afterFailover() Status {
	return Status{
		At: now, Node: "lb1", Version: "0.1.0", Boot: "00c0ffee00c0ffee", PID: 4711, Started: ago(75 * time.Hour),
		State: Leader, Since: ago(12*time.Minute + 3*time.Second), Term: 17, Priority: 100,
		Reason: "lb2 went silent and does not answer on the wire", ReasonCode: "peer-silent",
		Leader: "lb1", LeaderSince: ago(12*time.Minute + 3*time.Second), Gate: "nftables",
		VIPs: []VIP{
			{Address: "10.0.0.10/32", Interface: "eth0", Held: true, Since: ago(12*time.Minute + 3*time.Second)},
			{Address: "2001:db8::10/128", Interface: "eth0", Held: true, Since: ago(12*time.Minute + 3*time.Second)},
		},
		Peers: []Peer{{
			MirroredMS: -1,
			Paths: []Path{
				{Bind: "10.0.0.11:7947", Address: "10.0.0.12:7947", HeardMS: 4.2, HeardByPeerMS: 7},
				{Bind: "192.168.9.1:7947", Address: "192.168.9.2:7947", HeardMS: 73_000, HeardByPeerMS: -1, Broken: true},
			},
			Name: "lb2", Address: "10.0.0.12:7946", State: PeerSilent, LastHeardMS: 723_214, Holds: true, Fit: true,
			Term: 16, HearsUs: true, Priority: 100, Version: "0.1.0",
		}},
		Listeners: []Listener{
			{Name: "web", Bind: "10.0.0.10:80", Protocol: "http", Pool: "web", Open: true, Active: 812, Accepted: 90_211},
			{Name: "smtp", Bind: "10.0.0.10:25", Protocol: "tcp", Pool: "mail", Open: false, Error: "port 25 is taken by master (process 812)"},
		},
		Pools: []Pool{
			{Name: "web", Balance: "least-conn", Backends: []Backend{
				{Name: "web1", Address: "10.0.1.21:8080", State: Up, Since: ago(75 * time.Hour), Reason: "status 200", ProbeMS: 1.2, Active: 400},
				{Name: "web2", Address: "10.0.1.22:8080", State: Down, Since: ago(26 * time.Hour), Reason: "status 503, want 200-399", Active: 0},
			}},
			{Name: "mail", Backends: []Backend{
				{Name: "mx1", Address: "10.0.1.31:25", State: Down, Since: ago(40 * time.Second), Reason: "connect: connection refused"},
			}},
		},
		Failovers: []Failover{
			{At: ago(12*time.Minute + 3*time.Second), Kind: Takeover, From: "lb2", To: "lb1", Why: "lb2 went silent and does not answer on the wire", Term: 17, TookMS: 231.4,
				Cause: "lb2 is gone: neither beats nor answers on the wire", Noticed: "no beat for 200ms, and no answer on the wire",
				Steps:    []journal.Step{{Name: "noticed", Took: journal.Exactly(200 * time.Millisecond)}},
				Blackout: journal.AtMost(231 * time.Millisecond), Nobody: journal.Between(90*time.Millisecond, 231*time.Millisecond), Dual: journal.Unknown()},
			{At: ago(50 * time.Hour), Kind: Handover, From: "lb1", To: "lb2", Why: "lb1 was asked to stop", Term: 16, TookMS: 6.25},
		},
		Warnings: []string{"cluster.insecure: anyone who reaches the cluster's ports can take the VIP"},
	}
}

func TestTextReadsWell(t *testing.T) {
	standby := afterFailover()
	standby.State, standby.Leader, standby.LeaderSince = Standby, "lb2", ago(30*time.Second)
	standby.Since, standby.Reason = ago(29*time.Second), "lb2 holds and is heard"
	standby.VIPs = []VIP{{Address: "10.0.0.10/32", Interface: "eth0"}}
	standby.Peers = []Peer{{
		MirroredMS: 6,
		Name:       "lb2", Address: "10.0.0.12:7946", State: PeerAlive, LastHeardMS: 3.2, Holds: true, Fit: true, Rank: 2, Term: 18,
		HearsUs: true, Priority: 200, Version: "0.2.0", ConfigDiffers: true,
	}}
	standby.Listeners, standby.Pools, standby.Failovers = standby.Listeners[:1], standby.Pools[:1], nil
	standby.Pools[0].Forced, standby.Pools[0].Waiting = true, 3
	standby.Pools[0].Backends[0].Max, standby.Pools[0].Backends[1].Backup = 400, true
	standby.Warnings = []string{"lb2 runs version 0.2.0, this node 0.1.0", "lb2's file differs in what must be equal on all nodes"}

	nobody := Status{
		Node: "lb1", Version: "0.1.0", Boot: "0000000000000001", PID: 99, Started: ago(400 * time.Millisecond), State: Settling,
		Since: ago(400 * time.Millisecond), Reason: "listening after the start", Priority: 100, Gate: "nftables",
		VIPs:  []VIP{{Address: "10.0.0.10/32", Interface: "eth0"}},
		Peers: []Peer{{Address: "10.0.0.12:7946", State: PeerUnknown, LastHeardMS: -1, MirroredMS: -1}},
	}

	two := afterFailover()
	two.Peers[0].State = PeerAlive
	two.Listeners, two.Pools, two.Warnings, two.Failovers = nil, nil, nil, nil
	two.Gate = "none: this kernel has no nftables; a hung daemon keeps the VIP for up to 2.4 s"
	two.VIPs[1].Held, two.VIPs[1].Since, two.VIPs[1].Problem = false, time.Time{}, "add: no such device"

	handing := afterFailover()
	handing.State, handing.Since, handing.Reason = Handing, ago(0), "asked to stop: lb2 was told to take over"
	handing.Peers[0].State, handing.Peers[0].LastHeardMS = PeerAlive, 0.4
	handing.Listeners, handing.Pools, handing.Warnings, handing.Failovers = nil, nil, nil, nil

	byHand := standby
	byHand.State, byHand.Maintenance, byHand.Reason = InMaintenance, true, "this node is in maintenance"
	byHand.Peers = []Peer{standby.Peers[0], {
		Name: "lb3", Address: "10.0.0.13:7946", State: PeerAlive, LastHeardMS: 4, Maintenance: true, HearsUs: true, Priority: 90, Version: "0.1.0",
	}}
	byHand.Peers[0].ByHand = true
	byHand.Doing = "maintenance off, asked for by uid 0, pid 7 3ms ago, is under way: it is being written to disk"
	byHand.Warnings, byHand.Listeners, byHand.Pools = nil, nil, nil

	hostile := Status{
		Node: "lb1", State: Standby, Leader: "\x1b[2Jlb2\r\nlb1 leads", Reason: "a\nb\u202e\xff", Started: now, Since: now, Gate: "x\ty",
		Peers: []Peer{{Name: "\x07tab\there", State: PeerAlive, Holds: true, LastHeardMS: 1e300, MirroredMS: -1, Version: "\x1b]0;owned\x07"}},
		Pools: []Pool{{Name: "p", Backends: []Backend{{Name: "b", State: Up, Reason: "body \x00 \x1b[31m"}}}},
	}

	for name, s := range map[string]Status{
		"after-failover": afterFailover(), "standby": standby, "nobody": nobody, "two-holders": two, "handing": handing, "hostile": hostile, "by-hand": byHand,
	} {
		var out bytes.Buffer
		if err := WriteText(&out, s, now); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", out.Bytes())
	}
}

func TestJSONNamesAreStable(t *testing.T) {
	s := afterFailover()
	s.VIPs[0].Problem = "an example"
	s.Complete()
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "status.json", append(out, '\n'))
}

func TestACompleteStatusHasNoNullLists(t *testing.T) {
	s := Status{Pools: []Pool{{Name: "web"}}, Failovers: make([]Failover, 2*MaxFailovers)}
	s.Complete()
	out, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(out, []byte("null")) || len(s.Failovers) != MaxFailovers {
		t.Errorf("%d failovers in %s, want %d and no null", len(s.Failovers), out, MaxFailovers)
	}
}

func TestAgesShowTheirTwoLargestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m 1s", 3*time.Hour + 59*time.Second: "3h 0m",
		49 * time.Hour: "2d 1h",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s (rewrite with -update, then read the difference)\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}
