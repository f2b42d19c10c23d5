package proxy

import (
	"errors"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// pick has backends pick one that was not tried, and waits in their queue while all are full. gone is asked now and then
// whether the client still waits.
func (p *Proxy) pick(backends *pool.Pool, r pool.Request, gone func() bool, tried []*pool.Backend) (pool.Lease, error) {
	lease, err := backends.Pick(r, tried...)
	if errors.Is(err, pool.ErrFull) {
		lease, err = backends.Wait(p.dialing, r, gone, tried...)
	}
	return lease, err
}

// want notes what the pool is to know of who asks, while the request can be read.
func (c *client) want(w *work) {
	w.again = w.again && w.way.pool.Repeats()
	w.wants = pool.Request{Client: w.client, Sticky: sticky(w.way.pool, &w.req)}
	w.secure = w.way.pool.Cookie() != "" && c.scheme(&w.req) == "https"
}

// unpicked answers a request for which there was no backend.
func (c *client) unpicked(w *work, kept, tried bool, err error) bool {
	switch {
	case errors.Is(err, pool.ErrGone):
		c.log(w, statusGone, err.Error(), nil)
		return false
	case errors.Is(err, pool.ErrNone) && tried:
		return c.fail(w, kept, 503, "no backend could be reached")
	}
	return c.fail(w, kept, 503, err.Error())
}

// gone reports whether the session was cut, or the client has reset its connection. One that sends no more may still
// wait for an answer.
func (t *tunnel) gone() bool {
	t.mu.Lock()
	ended := t.ended
	t.mu.Unlock()
	if ended {
		return true
	}
	if t.client.secure != nil {
		return t.client.raw != nil && closed(t.client.raw)
	}
	return len(t.client.pending()) == 0 && t.client.raw != nil && !t.client.quiet() && t.client.err != nil
}
