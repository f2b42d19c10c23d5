package configs

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// orOff fills a mapping in whose place the word off may stand.
func orOff(r *report, n ast.Node, at place, b *block, word *scalar, into any) {
	if _, ok := n.(ast.ScalarNode); !ok || n.Type() == ast.NullType {
		mapping(r, n, at, into)
		return
	}
	*b = block{place: at, set: true}
	p := beginning(n)
	p.key = at.key
	word.fill(r, n, p)
}

func (f *fileEject) fill(r *report, n ast.Node, at place) { orOff(r, n, at, &f.block, &f.word, f) }

func (f *fileRetries) fill(r *report, n ast.Node, at place) { orOff(r, n, at, &f.block, &f.word, f) }

// off reports whether that is what was written in place of a mapping.
func (c *checker) off(word scalar, allowed string) bool {
	if word.ok() && word.text != "off" {
		c.bad(word.place, "%s is not allowed; write off, or a mapping with %s", show(word.text), allowed)
	}
	return word.ok() && word.text == "off"
}

// failures reads what becomes of backends and requests when something fails.
func (c *checker) failures(f *filePool, p *Pool) {
	p.OnDown = choice(c, f.OnDown, pool.OnDownReset, pool.OnDownReset, pool.OnDownDrain)
	p.Ejection = c.eject(&f.Eject)
	p.Retries = c.retries(&f.Retries)
	p.MaxRequests = c.number(f.MaxRequests, mostConns, 0)
}

func (c *checker) eject(f *fileEject) pool.Ejection {
	if c.off(f.word, "failures, time, growth and max_time") {
		return pool.Ejection{After: -1}
	}
	e := pool.Ejection{
		After:  c.number(f.Failures, 1000, 3),
		Time:   c.duration(f.Time, span{min: 100 * time.Millisecond, max: time.Hour, def: 5 * time.Second}),
		Growth: c.number(f.Growth, 10, 2),
	}
	e.MaxTime = c.duration(f.MaxTime, span{min: e.Time, max: 24 * time.Hour, def: max(e.Time, 5*time.Minute)})
	return e
}

func (c *checker) retries(f *fileRetries) pool.Retries {
	const most = 7
	if c.off(f.word, "attempts, budget and repeat") {
		return pool.Retries{Max: -1, Budget: -1}
	}
	r := pool.Retries{Max: c.number(f.Attempts, most, 3), Budget: c.percent(f.Budget, 1, 100)}
	if r.Budget == 0 {
		r.Budget = 20
	}
	if choice(c, f.Repeat, "idempotent", "idempotent", "never") == "never" {
		r.Budget = -1
		if f.Budget.set {
			c.bad(f.Budget.place, "is of what is repeated; with repeat: never nothing is")
		}
	}
	return r
}
