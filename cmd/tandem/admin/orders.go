package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// maxOrder bounds the body of an order, in bytes.
const maxOrder = 4 << 10

// Orders follows what an operator asks for. Its methods return when it is a fact, or with an *api.Refusal; by says who asked.
type Orders interface {
	Handover(ctx context.Context, o api.HandoverOrder, by string) (api.Done, error)
	Maintenance(ctx context.Context, o api.MaintenanceOrder, by string) (api.Done, error)
	Reload(ctx context.Context, by string) (api.Reloaded, error)
}

// Follow has orders followed by o; without it they are refused. It is to be called before Run.
func (s *Server) Follow(o Orders) { s.orders = o }

func (s *Server) ordersTo(mux *http.ServeMux) {
	mux.HandleFunc(api.HandoverPath, order(s, func(ctx context.Context, o api.HandoverOrder, by string) (api.Done, error) {
		return s.orders.Handover(ctx, o, by)
	}))
	mux.HandleFunc(api.MaintenancePath, order(s, func(ctx context.Context, o api.MaintenanceOrder, by string) (api.Done, error) {
		return s.orders.Maintenance(ctx, o, by)
	}))
}

// order handles one kind of order.
func order[T, D any](s *Server, follow func(context.Context, T, string) (D, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", "POST")
			answer(w, http.StatusMethodNotAllowed, api.Problem{Error: "this is an order: use POST"})
			return
		case s.orders == nil:
			answer(w, http.StatusNotImplemented, api.Problem{Error: "this daemon follows no orders"})
			return
		}
		var o T
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			answer(w, http.StatusBadRequest, api.Problem{Error: "the order is not the JSON that is wanted here: " + err.Error()})
			return
		}
		// An order takes longer than a question.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(api.OrderTime + timeout)) // what cannot be longer is as long as it is
		ctx, cancel := context.WithTimeout(r.Context(), api.OrderTime)
		defer cancel()
		done, err := follow(ctx, o, by(r.Context()))
		refusal := &api.Refusal{}
		switch {
		case errors.As(err, &refusal):
			answer(w, http.StatusConflict, refusal.Problem)
		case err != nil:
			answer(w, http.StatusServiceUnavailable, api.Problem{Error: err.Error()})
		default:
			answer(w, http.StatusOK, done)
		}
	}
}

type byKey struct{}

// by says who asks, as the kernel knows it.
func by(ctx context.Context) string {
	if s, ok := ctx.Value(byKey{}).(string); ok {
		return s
	}
	return "somebody"
}

// withCaller remembers who is at the other end of a connection.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	if a, ok := c.RemoteAddr().(callerAddr); ok && a.who != "" {
		return context.WithValue(ctx, byKey{}, a.who)
	}
	return ctx
}

// knowing is a listener that asks the kernel who connects. It comes before others that wrap its connections, and so hands it on in the remote address.
type knowing struct{ net.Listener }

func (l knowing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return caller{c, who(c)}, nil
}

type caller struct {
	net.Conn
	who string
}

func (c caller) RemoteAddr() net.Addr { return callerAddr{c.Conn.RemoteAddr(), c.who} }

type callerAddr struct {
	net.Addr
	who string
}

// who is the process at the other end of a Unix socket; empty if that cannot be told.
func who(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ""
	}
	cred := credentials(u)
	if cred == nil {
		return ""
	}
	return fmt.Sprintf("uid %d, pid %d", cred.Uid, cred.Pid)
}

// credentials asks the kernel who is at the other end; nil if it cannot tell.
func credentials(c *net.UnixConn) *unix.Ucred {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil {
		return nil
	}
	return cred
}
