package configs

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/command"
	"github.com/tandem-lb/tandem/health/track"
)

// fileTrack and what follows is the shape of the section track, as in file.go.
type fileTrack struct {
	block
	Interfaces blocks[fileTrackInterface] `key:"interfaces"`
	Gateways   blocks[fileTrackGateway]   `key:"gateways"`
	Scripts    blocks[fileTrackScript]    `key:"scripts"`
	Processes  blocks[fileTrackProcess]   `key:"processes"`
	Files      blocks[fileTrackFile]      `key:"files"`
	Reach      fileTrackReach             `key:"reach"`
	Hold       scalar                     `key:"hold"`
}

// fileTracked is what all tracked things have.
type fileTracked struct {
	Weight   scalar `key:"weight"`
	Absolute scalar `key:"absolute"`
	Interval scalar `key:"interval"`
	Rise     scalar `key:"rise"`
	Fall     scalar `key:"fall"`
}

type fileTrackInterface struct {
	block
	Interface scalar `key:"interface"`
	fileTracked
}

type fileTrackGateway struct {
	block
	Address   scalar `key:"address"`
	Interface scalar `key:"interface"`
	Timeout   scalar `key:"timeout"`
	fileTracked
}

type fileTrackScript struct {
	block
	Name    scalar `key:"name"`
	Command list   `key:"command"`
	RunAs   scalar `key:"run_as"`
	Timeout scalar `key:"timeout"`
	fileTracked
}

type fileTrackProcess struct {
	block
	Process scalar `key:"process"`
	PIDFile scalar `key:"pidfile"`
	fileTracked
}

type fileTrackFile struct {
	block
	Path     scalar `key:"path"`
	Exists   scalar `key:"exists"`
	Contains scalar `key:"contains"`
	fileTracked
}

type fileTrackReach struct {
	block
	Weight scalar `key:"weight"`
}

const (
	reachWeight = 100
	leastHold   = 5 * time.Second
)

// Track is what a node's fitness depends on besides its link, its listeners and itself.
type Track struct {
	Items []track.Item
	// ReachWeight is the unfitness of a node that reaches no backend of a pool.
	ReachWeight int
	// Hold is how long a difference in what is looked at now and then must last before the VIP moves for it.
	Hold time.Duration
}

func (c *checker) track(f *fileTrack, cfg *Config) Track {
	t := Track{ReachWeight: c.number(f.Reach.Weight, 254, reachWeight)}
	for _, i := range f.Interfaces.items {
		c.trackInterface(&i, cfg, &t)
	}
	for _, g := range f.Gateways.items {
		c.trackGateway(&g, cfg, &t)
	}
	for _, s := range f.Scripts.items {
		c.trackScript(&s, &t)
	}
	for _, p := range f.Processes.items {
		c.trackProcess(&p, &t)
	}
	for _, x := range f.Files.items {
		c.trackFile(&x, &t)
	}
	if len(t.Items) > track.MaxItems {
		c.bad(f.place, "%d things are tracked; allowed: at most %d", len(t.Items), track.MaxItems)
	}
	hold := leastHold
	for _, i := range t.Items {
		if i.Kind != track.Interface {
			hold = max(hold, 2*i.Interval) // by then the other node must have looked, too
		}
	}
	t.Hold = c.duration(f.Hold, span{min: time.Second, max: 2 * time.Hour, def: hold})
	return t
}

// tracked reads what all have, and adds the item.
func (c *checker) tracked(b block, f fileTracked, timeout *scalar, i track.Item, t *Track) {
	if b.bad {
		return
	}
	def := i.WithDefaults()
	i.Weight = c.number(f.Weight, 254, def.Weight)
	i.Interval = c.duration(f.Interval, span{min: 100 * time.Millisecond, max: time.Hour, def: def.Interval})
	i.Timeout = min(def.Timeout, i.Interval)
	if timeout != nil {
		i.Timeout = c.duration(*timeout, span{min: 50 * time.Millisecond, max: i.Interval, def: i.Timeout})
	}
	i.Rise, i.Fall = c.number(f.Rise, 100, def.Rise), c.number(f.Fall, 100, def.Fall)
	if i.Absolute = c.flag(f.Absolute); i.Absolute {
		c.warn(f.Absolute.place, "true: a node on which this fails never leads; where it fails on all nodes, nobody serves, for which one bad file on both is enough; a weight ranks the nodes without that danger")
	}
	for _, o := range t.Items {
		if i.Name != "" && o.Kind == i.Kind && o.Name == i.Name {
			c.bad(b.place, "%s is tracked twice", show(i.Name))
			return
		}
	}
	t.Items = append(t.Items, i)
}

func (c *checker) trackInterface(f *fileTrackInterface, cfg *Config, t *Track) {
	c.need(f.block, "interface", f.Interface.set, "the name of an interface, such as eth1")
	i := track.Item{Kind: track.Interface, Link: c.otherLink(f.Interface)}
	if i.Name = i.Link; i.Link != "" && i.Link == cfg.VIP.Interface {
		c.bad(f.Interface.place, "%s is the virtual addresses' interface, which is tracked always; list others only", i.Link)
	}
	c.tracked(f.block, f.fileTracked, nil, i, t)
}

// otherLink reads the name of an interface that the VIPs are not on.
func (c *checker) otherLink(s scalar) string {
	if !s.ok() {
		return ""
	}
	if !validLink(s.text) {
		c.bad(s.place, "%s is not the name of an interface; allowed: 1 to 15 characters without blanks, slashes and colons (ip link shows the names)", show(s.text))
		return ""
	}
	if c.host.Interface != nil && c.host.Interface(s.text) != nil {
		c.fact(s.place, "there is no interface %s on this host (ip link shows the names)", s.text)
	}
	return s.text
}

func (c *checker) trackGateway(f *fileTrackGateway, cfg *Config, t *Track) {
	i := track.Item{Kind: track.Gateway, Addr: cfg.VIP.Gateway, Link: c.otherLink(f.Interface)}
	switch a, ok := c.addr(f.Address); {
	case f.Address.set && !ok:
		return
	case f.Address.set && (odd(a) != "" || a.IsLoopback() || c.isVIP(a) || a == c.bind.v.Addr()):
		c.bad(f.Address.place, "%s is not a router's address; write the address of a neighbour that must answer", a)
		return
	case f.Address.set:
		i.Addr = a
	case !i.Addr.IsValid():
		c.need(f.block, "address", false, "the router's address, since vip.gateway, its default, is not there either")
		return
	}
	i.Name = i.Addr.String()
	for _, v := range cfg.VIP.Addresses {
		i.Avoid = append(i.Avoid, v.Addr())
	}
	c.tracked(f.block, f.fileTracked, &f.Timeout, i, t)
}

func (c *checker) trackScript(f *fileTrackScript, t *Track) {
	c.need(f.block, "name", f.Name.set, "a name for status and log")
	c.need(f.block, "command", f.Command.set, "the program and its arguments, such as [/usr/local/bin/check, --fast]")
	i := track.Item{Kind: track.Script, Name: c.name(f.Name), Command: command.Command{Argv: c.argv(&f.Command), User: c.user(f.RunAs)}}
	c.tracked(f.block, f.fileTracked, &f.Timeout, i, t)
}

// argv reads a program and its arguments.
func (c *checker) argv(l *list) []string {
	const most, longest = 64, 4096
	if !l.set || l.bad {
		return nil
	}
	if n := len(l.items); n == 0 || n > most {
		c.bad(l.place, "has %d entries; allowed: 1..%d, the program and its arguments", n, most)
		return nil
	}
	var argv []string
	for n, s := range l.items {
		switch {
		case !s.ok():
			return nil
		case len(s.text) > longest || strings.ContainsRune(s.text, 0):
			c.bad(s.place, "is too long, or has a zero byte; allowed: up to %d bytes", longest)
			return nil
		case n == 0 && !filepath.IsAbs(s.text):
			hint := ""
			if strings.ContainsAny(s.text, " |&;<>$") && len(l.items) == 1 {
				hint = `; for a line of shell write [/bin/sh, -c, "…"]`
			}
			c.bad(s.place, "%s is not an absolute path; no shell and no search path is involved: write [/usr/…, argument, …]%s", show(s.text), hint)
			return nil
		case n == 0 && c.host.File != nil:
			if err := c.host.File(s.text); err != nil {
				c.fact(s.place, "%v", err)
			}
		}
		argv = append(argv, s.text)
	}
	return argv
}

// user reads the name of a user that commands run as.
func (c *checker) user(s scalar) string {
	switch {
	case !s.ok():
		return ""
	case s.text == "root" || s.text == "0":
		c.bad(s.place, "commands do not run as root; write a user without rights, or leave the key out (nobody)")
		return ""
	}
	return c.name(s)
}

func (c *checker) trackProcess(f *fileTrackProcess, t *Track) {
	i := track.Item{Kind: track.Process, PIDFile: c.path(f.PIDFile, "")}
	if f.Process.ok() {
		i.Process = f.Process.text
		if i.Process == "" || len(i.Process) > 255 || strings.ContainsAny(i.Process, "/\x00\n") {
			c.bad(f.Process.place, "%s is not a process's name; write what ps -e -o comm shows, or the file name of its program", show(i.Process))
			return
		}
	}
	i.Name = i.Process
	if i.Name == "" {
		i.Name = i.PIDFile
	}
	c.need(f.block, "process", f.Process.set || f.PIDFile.set, "the process's name, or a pidfile")
	c.tracked(f.block, f.fileTracked, nil, i, t)
}

func (c *checker) trackFile(f *fileTrackFile, t *Track) {
	c.need(f.block, "path", f.Path.set, "the absolute path of a file")
	i := track.Item{Kind: track.File, Path: c.path(f.Path, "")}
	i.Name = i.Path
	i.Absent = f.Exists.ok() && !c.flag(f.Exists)
	if f.Contains.ok() {
		i.Text = f.Contains.text
		switch {
		case i.Absent:
			c.bad(f.Contains.place, "contradicts exists: false; keep one of the two")
		case i.Text == "" || len(i.Text) > 4096:
			c.bad(f.Contains.place, "has %d bytes; allowed: 1..4096", len(i.Text))
		}
	}
	c.tracked(f.block, f.fileTracked, nil, i, t)
}
