package health

import (
	"fmt"
	"reflect"
)

// Prepare returns what puts other targets in place of those of now; the error says which of them cannot be probed. A target of the same name and address keeps its state until its own
// probes say otherwise, and where nothing else is new nothing is touched. New ones are probed at once.
func (c *Checker) Prepare(targets []Target) (commit func(), err error) {
	for _, t := range targets {
		if err := t.Config.Validate(); err != nil {
			return nil, fmt.Errorf("pool %s: health: %w", t.Pool, err)
		}
	}
	return func() { c.put(targets) }, nil
}

func (c *Checker) put(targets []Target) {
	c.telling.Lock()
	defer c.telling.Unlock()
	for _, st := range c.swap(targets) {
		c.report(st.Pool, st.Backend, st.State == Up, st.Reason)
	}
}

// swap returns what is known of targets that are probed otherwise from now on: who had yet to tell of a change does not any more.
func (c *Checker) swap(targets []Target) (again []Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := map[[2]string]*subject{}
	for _, t := range c.targets {
		old[[2]string{t.Pool, t.Backend}] = t
	}
	var next, begin []*subject
	for _, t := range targets {
		t.Config = t.Config.WithDefaults()
		was := old[[2]string{t.Pool, t.Backend}]
		if was != nil && reflect.DeepEqual(was.Target, t) {
			next = append(next, was)
			continue
		}
		n := c.newTarget(t)
		if was != nil && was.Address == t.Address && was.Host == t.Host && t.Config.Type != None {
			n.track.state, n.down = was.status.State, was.down
			addr := n.status.Address
			if n.at = was.at; t.Host != "" {
				here := t
				here.Address = n.at
				addr = newProber(here, c.dial).addr
			}
			n.status = was.status
			n.status.Address = addr
			if n.status.State != Unchecked {
				again = append(again, n.status)
			}
		}
		next, begin = append(next, n), append(begin, n)
	}
	stays := map[*subject]bool{}
	for _, t := range next {
		stays[t] = true
	}
	for _, t := range c.targets {
		if !stays[t] {
			t.gone = true
			if t.stop != nil {
				t.stop()
			}
		}
	}
	c.targets = next
	for i, t := range begin {
		c.start(t, i, len(begin))
	}
	return again
}
