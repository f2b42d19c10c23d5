package configs

import (
	"slices"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/command"
	"github.com/tandem-lb/tandem/notify"
)

const maxHooks = 16

func (c *checker) notify(f *fileConfig) []notify.Hook {
	if len(f.Notify.items) > maxHooks {
		c.bad(f.Notify.place, "has %d entries; allowed: at most %d", len(f.Notify.items), maxHooks)
		return nil
	}
	var hooks []notify.Hook
	for i := range f.Notify.items {
		n := &f.Notify.items[i]
		c.need(n.block, "command", n.Command.set, "the program and its arguments, such as [/usr/local/bin/on-change, --quiet]")
		hooks = append(hooks, notify.Hook{On: c.events(n), Command: command.Command{
			Argv:    c.argv(&n.Command),
			Timeout: c.duration(n.Timeout, span{min: 100 * time.Millisecond, max: 10 * time.Minute, def: 30 * time.Second}),
			User:    c.user(n.RunAs),
		}})
	}
	return hooks
}

// events reads what a command is told of; absent: everything.
func (c *checker) events(f *fileNotify) []notify.Event {
	if !f.On.set {
		return notify.Events()
	}
	var names []string
	for _, e := range notify.Events() {
		names = append(names, string(e))
	}
	if !f.On.bad && len(f.On.items) == 0 {
		c.bad(f.On.place, "is empty; write which of %s the command is told of, or leave the key out for all", strings.Join(names, ", "))
	}
	var on []notify.Event
	for _, s := range f.On.items {
		switch e := notify.Event(s.text); {
		case !s.ok():
		case !slices.Contains(notify.Events(), e):
			c.bad(s.place, "%s is not an event; allowed: %s", show(s.text), strings.Join(names, ", "))
		case slices.Contains(on, e):
			c.bad(s.place, "%s is listed twice", e)
		default:
			on = append(on, e)
		}
	}
	return on
}
