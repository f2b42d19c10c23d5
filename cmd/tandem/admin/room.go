package admin

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
)

// room is a listener that bounds the connections which are served at once. When it is full the one gives way that has been without an answer under way for
// longest: whoever only holds connections open keeps nobody out.
type room struct {
	net.Listener
	most int

	mu     sync.Mutex // guards the rest
	guests []*guest   // who has been idle for longest comes first
}

// guest is a connection in a room.
type guest struct {
	net.Conn
	room *room
	busy bool // an answer to it is under way; room.mu guards it
}

// Accept waits for a connection. It is one that is let in: if all are busy, those that come are closed.
func (r *room) Accept() (net.Conn, error) {
	for {
		c, err := r.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &guest{Conn: c, room: r}
		out := r.enter(g)
		if out != nil {
			_ = out.Conn.Close() // whoever serves it gets the error
		}
		if out != g {
			return g, nil
		}
	}
}

// enter takes in a guest, and returns who has to go for it, or it itself, or nil.
func (r *room) enter(g *guest) *guest {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.guests) < r.most {
		r.guests = append(r.guests, g)
		return nil
	}
	i := slices.IndexFunc(r.guests, func(x *guest) bool { return !x.busy })
	if i < 0 {
		return g
	}
	out := r.guests[i]
	r.guests = append(slices.Delete(r.guests, i, i+1), g)
	return out
}

// Close ends a connection, and may be called again.
func (g *guest) Close() error {
	g.room.move(g, func() {})
	return g.Conn.Close()
}

// move takes g out of the order, if it is still in, and f may put it back.
func (r *room) move(g *guest, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.guests, g); i >= 0 {
		r.guests = slices.Delete(r.guests, i, i+1)
		f()
	}
}

type guestKey struct{}

// known puts a guest into the context of its requests.
func known(ctx context.Context, c net.Conn) context.Context {
	return withCaller(context.WithValue(ctx, guestKey{}, c), c)
}

// serving marks a guest as busy while a request of it is answered.
func (r *room) serving(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if g, ok := q.Context().Value(guestKey{}).(*guest); ok {
			mark := func(busy bool) {
				r.move(g, func() {
					g.busy = busy
					r.guests = append(r.guests, g)
				})
			}
			mark(true)
			defer mark(false)
		}
		h.ServeHTTP(w, q)
	})
}
