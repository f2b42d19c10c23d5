package admin

import (
	"context"
	"net/http"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// SetBackend sets a backend by hand, and returns when this node keeps it, or with an *api.Refusal; by says who asked.
type SetBackend func(ctx context.Context, o api.BackendOrder, by string) (api.BackendDone, error)

// SetsBackends has backends set by f; without it that is refused. It is to be called before Run.
func (s *Server) SetsBackends(f SetBackend) { s.set = f }

func (s *Server) backendsTo(mux *http.ServeMux) {
	mux.HandleFunc(api.BackendPath, order(s, func(ctx context.Context, o api.BackendOrder, by string) (api.BackendDone, error) {
		if s.set == nil {
			return api.BackendDone{}, &api.Refusal{Problem: api.Problem{Error: "this node has no backends: ask one that forwards", Code: "witness"}}
		}
		return s.set(ctx, o, by)
	}))
}
