package sim

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/configs"
)

// node is a host with a configuration, on which daemons run, one after the other.
type node struct {
	*host
	w    *world
	name string
	cfg  *configs.Config
	runs []*process

	witness bool
}

// start runs a daemon on the node. One that was asked to end must have ended.
func (n *node) start() {
	w := n.w
	if p := n.running(); p != nil && !p.dead.Load() {
		<-p.ended
	}
	w.trace("%s starts", n.name)
	p, err := n.host.start(w.ctx, n.cfg, filepath.Join(w.dir, fmt.Sprintf("%s-%d", n.name, len(n.runs))), n.logger)
	if err != nil {
		w.t.Fatal(err)
	}
	n.runs = append(n.runs, p)
}

func (n *node) logger(p *process) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: n.name, Level: n.w.level, Output: mortal{n.w.log, p}, TimeFn: n.w.clock, TimeFormat: clockFormat,
	})
}

// mortal is a log that ends with its process.
type mortal struct {
	io.Writer
	p *process
}

func (m mortal) Write(b []byte) (int, error) {
	if m.p.dead.Load() {
		return len(b), nil
	}
	return m.Writer.Write(b)
}

// kill is kill -9.
func (n *node) kill() {
	n.w.trace("%s is killed", n.name)
	n.running().kill()
}

// terminate is SIGTERM.
func (n *node) terminate() {
	n.w.trace("%s is told to stop", n.name)
	p := n.running()
	p.told.Store(true)
	p.cancel()
}

// pause stops the daemon for d.
func (n *node) pause(d time.Duration) {
	n.w.trace("%s is paused for %v", n.name, d)
	n.running().pause(d)
}

// plug plugs the cable in, or pulls it out.
func (n *node) plug(in bool) {
	n.w.trace("%s: cable plugged in: %v", n.name, in)
	n.setCarrier(in)
}

// powerOff ends daemon and kernel at once; nobody says goodbye.
func (n *node) powerOff() {
	n.w.trace("%s loses its power", n.name)
	n.off.Store(true)
	n.running().kill()
}

// powerOn starts the host anew.
func (n *node) powerOn() {
	n.w.trace("%s boots", n.name)
	n.boot()
	n.w.follow(n.host)
	n.off.Store(false)
	n.start()
}

// hears and speaks make the host deaf or mute, or neither.
func (n *node) deafMute(deaf, mute bool) {
	n.w.trace("%s: deaf %v, mute %v", n.name, deaf, mute)
	n.seg.set(func() { n.station.deaf, n.station.mute = deaf, mute })
}
