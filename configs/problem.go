package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxProblems bounds what is reported of one file; nobody reads more, and a hostile file could ask for a hundred thousand lines.
const maxProblems = 100

// Problem is one thing that is wrong, and where. Line and Column count from 1, columns in characters; Line is 0 when
// the problem is not about one place in the file.
type Problem struct {
	File         string
	Line, Column int
	Key          string // path of the key, such as cluster.failover or pools[web].balance; may be empty
	Text         string // what is wrong, and what is allowed
}

// String is "file:line:column: key: text".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key)
		b.WriteString(": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems is everything that is wrong with a file, sorted by position. It is the error that Load and Parse return.
type Problems []Problem

// Error is one line per problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// Warning is something that does not make the file wrong.
type Warning struct {
	Problem
	// Host says that this is a fact of the machine (an interface that is missing, a key that others can read) and not
	// of the file: it may be so by now, or be different on the machine the file is for.
	Host bool
}

// place is where something stands in the file, and its key's path.
type place struct {
	line, col int
	key       string
}

// under is the place of what is missing below p.
func (p place) under(key string) place {
	return place{p.line, p.col, join(p.key, key)}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// report collects problems and warnings.
type report struct {
	file     string
	widths   []int // of the lines, in characters
	problems Problems
	warnings []Warning
}

func (r *report) problem(at place, format string, args ...any) Problem {
	// What is not written, such as the value of a key without one, has a place of its own in the tree, beyond the line or the file.
	if n := len(r.widths); at.line > 0 && n > 0 {
		at.line = min(at.line, n)
		at.col = max(1, min(at.col, r.widths[at.line-1]+1))
	}
	return Problem{File: r.file, Line: at.line, Column: at.col, Key: at.key, Text: fmt.Sprintf(format, args...)}
}

// bad reports what makes the file wrong.
func (r *report) bad(at place, format string, args ...any) {
	r.problems = append(r.problems, r.problem(at, format, args...))
}

// warn reports what is allowed and probably not meant.
func (r *report) warn(at place, format string, args ...any) {
	r.warnings = append(r.warnings, Warning{Problem: r.problem(at, format, args...)})
}

// fact reports what is not right on this host.
func (r *report) fact(at place, format string, args ...any) {
	r.warnings = append(r.warnings, Warning{Problem: r.problem(at, format, args...), Host: true})
}

func before(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// result sorts what was found; the error is nil if nothing is wrong.
func (r *report) result() ([]Warning, error) {
	slices.SortStableFunc(r.warnings, func(a, b Warning) int { return before(a.Problem, b.Problem) })
	slices.SortStableFunc(r.problems, before)
	warnings, problems := r.warnings, r.problems
	if n := len(warnings); n > maxProblems {
		warnings = append(warnings[:maxProblems:maxProblems], Warning{Problem: Problem{File: r.file, Text: fmt.Sprintf("and %d more warnings", n-maxProblems)}})
	}
	if n := len(problems); n > maxProblems {
		problems = append(problems[:maxProblems:maxProblems], Problem{File: r.file, Text: fmt.Sprintf("and %d more problems", n-maxProblems)})
	}
	if len(problems) == 0 {
		return warnings, nil
	}
	return warnings, problems
}

// show quotes what the file says, cut to a length that fits a line.
func show(s string) string {
	const limit = 60
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
