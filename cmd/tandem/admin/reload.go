package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// reloadTo serves the order to read the configuration again. It has no body.
func (s *Server) reloadTo(mux *http.ServeMux) {
	mux.HandleFunc(api.ReloadPath, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", "POST")
			answer(w, http.StatusMethodNotAllowed, api.Problem{Error: "this is an order: use POST"})
			return
		case s.orders == nil:
			answer(w, http.StatusNotImplemented, api.Problem{Error: "this daemon follows no orders"})
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(api.OrderTime + timeout)) // what cannot be longer is as long as it is
		// What has begun is not left half-way because somebody does not wait for it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), api.OrderTime)
		defer cancel()
		done, err := s.orders.Reload(ctx, by(r.Context()))
		if err != nil {
			answer(w, http.StatusConflict, api.Problem{Error: err.Error(), Code: "refused"})
			return
		}
		answer(w, http.StatusOK, done)
	})
}
