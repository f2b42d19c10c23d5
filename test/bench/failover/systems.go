package main

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/tandem-lb/tandem/test/lab"
)

//go:embed peers/*.tmpl
var peers embed.FS

// system is what runs on the nodes.
type system struct {
	name   string
	launch lab.Launch
	peer   bool // not Tandem: what it is compared with
	// settle is how long a node needs after its start until it is ready to take over.
	settle time.Duration
	// edit changes the configuration of Tandem; nil: the default.
	edit func(n *lab.Node, config string) string
	// witness adds a third node that only votes, and has all of them vote.
	witness bool
	// every is the time between the attempts of the client, and between the questions of the observer; 0: 2 ms.
	every time.Duration
	// weight is that of the unit file in CPU time; 0: all processes are in one group.
	weight int
}

// reference is the system that has goals and that the others are measured against.
const reference = "tandem"

// Tandem with another setting than the default: measured only in the rows that name it.
const (
	fast       = "tandem-100ms"     // cluster.failover: 100ms
	mirrorless = "tandem-nomirrors" // cluster.mirrors: off
	voting     = "tandem-witness"   // three nodes that vote, one of them a witness
	unit       = "tandem-unit"      // CPUWeight= as its unit file has it
	unwatched  = "tandem-unwatched" // asked once a second, so that what it uses is its own
)

// systems lists what is compared.
func systems() []system {
	return []system{
		{name: reference, launch: lab.Tandem, settle: 3 * time.Second},
		{name: fast, launch: lab.Tandem, settle: 3 * time.Second, edit: cluster("failover: 100ms")},
		{name: mirrorless, launch: lab.Tandem, settle: 3 * time.Second, edit: cluster("mirrors: off")},
		{name: voting, launch: lab.Tandem, settle: 3 * time.Second, witness: true},
		{name: unit, launch: lab.Tandem, settle: 3 * time.Second, weight: lab.GreatestWeight},
		{name: unwatched, launch: lab.Tandem, settle: 3 * time.Second, every: time.Second},
		{name: "keepalived-1s", peer: true, launch: peer("1"), settle: 6 * time.Second},
		{name: "keepalived-100ms", peer: true, launch: peer("0.1"), settle: 3 * time.Second},
		{name: "keepalived-10ms", peer: true, launch: peer("0.01"), settle: 3 * time.Second},
	}
}

// cluster adds a key to the section cluster of the configuration.
func cluster(line string) func(*lab.Node, string) string {
	return func(_ *lab.Node, config string) string {
		return strings.Replace(config, "cluster:\n", "cluster:\n  "+line+"\n", 1)
	}
}

// peer launches keepalived, with that many seconds between adverts, and HAProxy.
func peer(advert string) lab.Launch {
	return func(n *lab.Node) ([]*lab.Proc, error) {
		dir := n.Pair.Path(n.Name())
		// What a killed keepalived leaves there would keep the next one from starting.
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		data := map[string]any{
			"Name": n.Name(), "Link": n.Link(), "Priority": 150 - 50*n.Index, "Advert": advert, "VIP": n.Pair.VIP,
			"PortHTTP": lab.PortHTTP, "PortTCP": lab.PortTCP, "Backends": n.Pair.Backends[:],
		}
		for _, name := range []string{"keepalived.conf", "haproxy.cfg"} {
			if err := write(filepath.Join(dir, name), name+".tmpl", data); err != nil {
				return nil, fmt.Errorf("write %s: %w", name, err)
			}
		}
		return start(n, dir)
	}
}

func start(n *lab.Node, dir string) ([]*lab.Proc, error) {
	var procs []*lab.Proc
	for _, args := range [][]string{
		{"haproxy", "-db", "-f", filepath.Join(dir, "haproxy.cfg")},
		{"keepalived", "--dont-fork", "--log-console", "--vrrp", "--use-file", filepath.Join(dir, "keepalived.conf"),
			"--pid", filepath.Join(dir, "keepalived.pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid")},
	} {
		path, err := find(args[0])
		if err != nil {
			return nil, err
		}
		p, err := n.Start(n.Name()+"-"+args[0], exec.Command(path, args[1:]...)) //nolint:noctx // ends with the lab
		if err != nil {
			return nil, err
		}
		procs = append(procs, p)
	}
	return procs, nil
}

// find looks for a daemon where Debian puts daemons, which is not always in PATH.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := "/usr/sbin/" + name
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not installed: apt-get install keepalived haproxy, or -system tandem to measure Tandem alone", name)
	}
	return path, nil
}

func write(path, name string, data any) error {
	t, err := template.ParseFS(peers, "peers/"+name)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := t.Execute(f, data); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
