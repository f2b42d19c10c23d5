// Package docs_test holds the documentation against the code.
package docs_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the tables of logs.md from the code; texts that are there stay")

const (
	logsFile = "logs.md"
	begin    = "<!-- messages: written by `go test ./docs -update`; only the last two columns by hand -->"
	end      = "<!-- end of messages -->"
	// stub stands for a text that nobody has written yet.
	stub = "?"
)

// message is one row: what is logged, and what that means.
type message struct{ pkg, level, text string }

func (m message) compare(o message) int {
	return cmp.Or(cmp.Compare(m.pkg, o.pkg), cmp.Compare(rank(m.level), rank(o.level)), cmp.Compare(m.text, o.text))
}

func rank(level string) int { return slices.Index([]string{"error", "warn", "info"}, level) }

// words is what people wrote about a message.
type words struct{ meaning, todo string }

func TestEveryLogMessageIsDocumented(t *testing.T) {
	found, problems := scan(t, "..")
	for _, p := range problems {
		t.Error(p)
	}
	if len(found) < 10 {
		t.Fatalf("found only %d messages in the code: the scanner is blind", len(found))
	}
	doc, err := os.ReadFile(logsFile)
	if err != nil {
		t.Fatal(err)
	}
	head, table, tail := split(t, string(doc))
	rows := parse(t, table)
	if *update {
		out := head + render(found, rows) + tail
		if err := os.WriteFile(logsFile, []byte(out), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
		rows = parse(t, render(found, rows))
	}
	for m := range found {
		if _, ok := rows[m]; !ok {
			t.Errorf("%s: %s %q is logged but not in %s; run go test ./docs -update and write what it means", m.pkg, m.level, m.text, logsFile)
		}
	}
	for m, w := range rows {
		if !found[m] {
			t.Errorf("%s: %s %q is in %s but not logged; run go test ./docs -update", m.pkg, m.level, m.text, logsFile)
		}
		if w.meaning == stub || w.todo == stub || w.meaning == "" || w.todo == "" {
			t.Errorf("%s: %s %q: write in %s what it means and what to do", m.pkg, m.level, m.text, logsFile)
		}
	}
}

func split(t *testing.T, doc string) (head, table, tail string) {
	t.Helper()
	head, rest, ok := strings.Cut(doc, begin)
	table, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s: the lines %q and %q must be there", logsFile, begin, end)
	}
	return head, table, tail
}

var row = regexp.MustCompile("^\\| (error|warn|info) \\| (`[^`]*`|`` .* ``) \\|([^|]*)\\|([^|]*)\\|$")

func parse(t *testing.T, table string) map[message]words {
	t.Helper()
	rows := map[message]words{}
	pkg := ""
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if p, ok := strings.CutPrefix(line, "### "); ok {
			pkg = p
		}
		if !strings.HasPrefix(line, "| error") && !strings.HasPrefix(line, "| warn") && !strings.HasPrefix(line, "| info") {
			continue
		}
		f := row.FindStringSubmatch(line)
		if f == nil {
			t.Errorf("%s: a row must have four columns, no | within: %s", logsFile, line)
			continue
		}
		rows[message{pkg, f[1], strings.Trim(f[2], "` ")}] = words{strings.TrimSpace(f[3]), strings.TrimSpace(f[4])}
	}
	return rows
}

// code quotes s for Markdown.
func code(s string) string {
	if strings.Contains(s, "`") {
		return "`` " + s + " ``"
	}
	return "`" + s + "`"
}

// render writes the tables. A message that moved to another package or level keeps its words.
func render(found map[message]bool, rows map[message]words) string {
	byText := map[string]words{}
	for _, m := range slices.SortedFunc(maps.Keys(rows), message.compare) {
		byText[m.text] = rows[m]
	}
	var b bytes.Buffer
	b.WriteString(begin + "\n")
	pkg := ""
	for _, m := range slices.SortedFunc(maps.Keys(found), message.compare) {
		if m.pkg != pkg {
			pkg = m.pkg
			fmt.Fprintf(&b, "\n### %s\n\n| level | message | meaning | what to do |\n|---|---|---|---|\n", pkg)
		}
		w, ok := rows[m]
		if !ok {
			w = byText[m.text]
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.level, code(m.text), cmp.Or(w.meaning, stub), cmp.Or(w.todo, stub))
	}
	b.WriteString("\n" + end)
	return b.String()
}
