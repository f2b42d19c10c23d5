package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// Explain answers why. An error is the fault of who asks: it says what can be asked.
type Explain func(ctx context.Context, q api.Question) (api.Explanation, error)

// Explains has questions why answered by e; without it they are refused. It is to be called before Run.
func (s *Server) Explains(e Explain) { s.explain = e }

func (s *Server) explainTo(mux *http.ServeMux) {
	mux.HandleFunc(api.ExplainPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			answer(w, http.StatusMethodNotAllowed, api.Problem{Error: "this is a question: use GET"})
			return
		}
		q, err := api.ParseQuestion(r.URL.Query())
		if err == nil && s.explain == nil {
			err = errors.New("this daemon keeps no journal")
		}
		var e api.Explanation
		if err == nil {
			e, err = s.explain(r.Context(), q)
		}
		if err != nil {
			answer(w, http.StatusBadRequest, api.Problem{Error: err.Error()})
			return
		}
		e.Schema = api.Schema
		answer(w, http.StatusOK, e)
	})
}
