package pool

import (
	"errors"
	"fmt"
	"reflect"
)

// Change is a set of pools that has been prepared. It is of use until another one has been committed.
type Change struct {
	set  *Set
	cfgs []Config
	next *pools
}

// Prepare checks what cfgs describe, and touches nothing. What stays, by its name, is inherited: what probes, traffic and operators have said
// of backends, and what has been counted. A pool that goes serves on for those who are there.
func (s *Set) Prepare(cfgs []Config) (*Change, error) {
	c := &Change{set: s, cfgs: cfgs, next: &pools{byName: make(map[string]*Pool, len(cfgs))}}
	now := s.now.Load()
	var errs []error
	for _, cfg := range cfgs {
		if c.next.byName[cfg.Name] != nil {
			errs = append(errs, fmt.Errorf("pool %s: the name is used twice", cfg.Name))
			continue
		}
		names := map[string]bool{}
		for _, b := range cfg.Backends {
			if names[b.Name] {
				errs = append(errs, fmt.Errorf("pool %s: the backend %s is there twice", cfg.Name, b.Name))
			}
			names[b.Name] = true
		}
		p := now.byName[cfg.Name]
		if p == nil {
			p = newPool(cfg, s.log)
		}
		c.next.add(p)
	}
	return c, errors.Join(errs...)
}

// Pool returns the pool of that name after the change, nil if there will be none.
func (c *Change) Pool(name string) *Pool { return c.next.byName[name] }

// Config is how the pool of that name will be configured.
func (c *Change) Config(name string) Config {
	for _, cfg := range c.cfgs {
		if cfg.Name == name {
			return cfg
		}
	}
	return Config{}
}

// Commit puts the change in place. It does not wait for traffic, which goes on by the old settings until then.
func (c *Change) Commit() {
	c.set.reloading.Lock()
	defer c.set.reloading.Unlock()
	for i, p := range c.next.pools {
		if reflect.DeepEqual(p.conf().config, c.cfgs[i]) {
			continue
		}
		p.reload(c.cfgs[i])
	}
	c.set.now.Store(c.next)
}

func (p *Pool) reload(c Config) {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.apply(c)
	p.plan()
	p.turn()
}
