package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheScannerSees breaks each rule once: a scanner that sees nothing would let everything pass.
func TestTheScannerSees(t *testing.T) {
	const src = `package p

import (
	"net/http"

	"github.com/hashicorp/go-hclog"
)

type part struct{ log hclog.Logger }

func use(w http.ResponseWriter, l hclog.Logger, p part, msg string, kv []any) {
	l.Info("good", "peer", 1)
	l.Named("x").With("peer", 1).Warn("through a chain", "err", nil)
	sub := p.log.Named("sub")
	sub.Error("through a variable")
	p.log.Debug("not documented")
	l.Info("spread", kv...)
	http.Error(w, "no log", 500)
	_ = error(nil).Error(); l.Info("see 'tandem status' now")
	l.Info(msg)
	l.Warn("odd", "peer")
	l.Warn("Upper case")
	l.Info("format %d", "peer", 1)
	l.Info("bad key", msg, 1)
	l.Debug(msg)
	l.With("odd").Info("after with")
	l.Log(hclog.Info, "by level")
}
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(strings.ReplaceAll(src, "'", "`")), 0o600); err != nil {
		t.Fatal(err)
	}
	found, problems := scan(t, dir)
	for _, want := range []message{
		{".", "info", "good"}, {".", "warn", "through a chain"}, {".", "error", "through a variable"}, {".", "info", "spread"},
		{".", "warn", "odd"}, {".", "info", "bad key"}, {".", "info", "after with"}, {".", "info", "see `tandem status` now"},
	} {
		if !found[want] {
			t.Errorf("did not see %+v", want)
		}
		delete(found, want)
	}
	if len(found) != 0 {
		t.Errorf("saw too much: %+v", found)
	}
	all := strings.Join(problems, "\n")
	for _, want := range []string{"p.go:20: the message must be a string literal", "p.go:21: 1 arguments after", `p.go:22: message "Upper case"`,
		`p.go:23: message "format %d"`, "p.go:24: key 1 must be", "p.go:25: the message must be a string literal",
		"p.go:26: 1 arguments after", "p.go:27: use Info"} {
		if !strings.Contains(all, want) {
			t.Errorf("no problem %q in:\n%s", want, all)
		}
	}
	if len(problems) != 8 {
		t.Errorf("%d problems, want 8:\n%s", len(problems), all)
	}
}

func TestTextsSurviveAnUpdate(t *testing.T) {
	rows := map[message]words{
		{"a", "info", "stays"}:    {"m1", "t1"},
		{"a", "info", "moves"}:    {"m2", "t2"},
		{"a", "info", "vanishes"}: {"m3", "t3"},
	}
	out := parse(t, render(map[message]bool{{"a", "info", "stays"}: true, {"b", "warn", "moves"}: true, {"b", "info", "new"}: true}, rows))
	want := map[message]words{
		{"a", "info", "stays"}: {"m1", "t1"}, {"b", "warn", "moves"}: {"m2", "t2"}, {"b", "info", "new"}: {stub, stub},
	}
	if len(out) != len(want) {
		t.Errorf("rows %+v, want %+v", out, want)
	}
	for m, w := range want {
		if out[m] != w {
			t.Errorf("%+v: %+v, want %+v", m, out[m], w)
		}
	}
}
