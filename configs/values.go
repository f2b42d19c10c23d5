package configs

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// never is what a duration becomes that is written "never".
const never = -1

// span is what a duration may be.
type span struct {
	min, max, def time.Duration
	never         bool   // "never" is allowed
	unset         string // what the default is, if it is no duration
}

func (s span) String() string {
	def := s.unset
	if def == "" {
		def = brief(s.def)
	}
	text := fmt.Sprintf("allowed: %s..%s, default %s", brief(s.min), brief(s.max), def)
	if s.never {
		text += ", or never"
	}
	return text
}

// brief writes a duration as people do: 1h, not 1h0m0s.
func brief(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// duration reads a duration; if it is absent or wrong it is the default.
func (c *checker) duration(s scalar, allowed span) time.Duration {
	if !s.ok() {
		return allowed.def
	}
	if s.text == "never" {
		if !allowed.never {
			c.bad(s.place, `"never" is not possible here (%s)`, allowed)
			return allowed.def
		}
		return never
	}
	d, err := time.ParseDuration(s.text)
	switch _, bare := strconv.ParseFloat(s.text, 64); {
	case bare == nil:
		c.bad(s.place, "%s has no unit%s (%s)", show(s.text), withUnit(s.text, allowed), allowed)
		return allowed.def
	case err != nil:
		c.bad(s.place, "%s is not a duration%s; write a number and a unit, such as 200ms, 5s, 1m30s, 1h (%s)", show(s.text), betterDuration(s.text), allowed)
		return allowed.def
	case d < 0:
		c.bad(s.place, "%s is negative (%s)", s.text, allowed)
		return allowed.def
	case d < allowed.min:
		c.bad(s.place, "%s is too short (%s)", s.text, allowed)
		return allowed.def
	case d > allowed.max:
		c.bad(s.place, "%s is too long (%s)", s.text, allowed)
		return allowed.def
	}
	return d
}

// withUnit proposes the units with which a bare number is allowed.
func withUnit(text string, allowed span) string {
	var fit []string
	for _, unit := range []string{"ms", "s", "m", "h"} {
		if d, err := time.ParseDuration(text + unit); err == nil && d >= allowed.min && d <= allowed.max && len(text) < 10 {
			fit = append(fit, text+unit)
		}
	}
	if len(fit) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(fit[:min(2, len(fit))], " or ") + "?"
}

// betterDuration guesses what was meant by a duration that cannot be read.
func betterDuration(text string) string {
	if len(text) > 20 {
		return ""
	}
	t := strings.ToLower(strings.Join(strings.Fields(text), ""))
	for _, long := range [][2]string{
		{"milliseconds", "ms"}, {"millisecond", "ms"}, {"msec", "ms"}, {"seconds", "s"}, {"second", "s"}, {"secs", "s"}, {"sec", "s"},
		{"minutes", "m"}, {"minute", "m"}, {"mins", "m"}, {"min", "m"}, {"hours", "h"}, {"hour", "h"},
		{"days", "d"}, {"day", "d"},
	} {
		if strings.HasSuffix(t, long[0]) {
			t = strings.TrimSuffix(t, long[0]) + long[1]
			break
		}
	}
	if days, ok := strings.CutSuffix(t, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 10000 {
			return fmt.Sprintf(" (the largest unit is h: %dh)", 24*n)
		}
	}
	if _, err := time.ParseDuration(t); err == nil {
		return " (did you mean " + t + "?)"
	}
	return ""
}

// number reads a whole number from 1; if it is absent or wrong it is the default.
func (c *checker) number(s scalar, most, def int) int {
	if !s.ok() {
		return def
	}
	allowed := fmt.Sprintf("allowed: 1..%d", most)
	if def > 0 {
		allowed += fmt.Sprintf(", default %d", def)
	}
	n, err := strconv.Atoi(s.text)
	switch {
	case s.kind == quoted && err == nil:
		c.bad(s.place, "%s is text; write the number without quotes (%s)", show(s.text), allowed)
	case err != nil && isDigits(s.text):
		c.bad(s.place, "%s is out of range (%s)", show(s.text), allowed)
	case err != nil || s.text[0] == '+' || s.text[0] == '0' && len(s.text) > 1:
		c.bad(s.place, "%s is not a whole number; write it with plain digits (%s)", show(s.text), allowed)
	case n < 1 || n > most:
		c.bad(s.place, "%d is out of range (%s)", n, allowed)
	default:
		return n
	}
	return def
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// flag reads true or false; if it is absent or wrong it is false.
func (c *checker) flag(s scalar) bool {
	if !s.ok() {
		return false
	}
	switch {
	case s.kind == boolean && s.text == "true":
		return true
	case s.kind == boolean && s.text == "false":
		return false
	case s.kind == quoted && (s.text == "true" || s.text == "false"):
		c.bad(s.place, "%s is text; write %s without quotes", show(s.text), s.text)
	default:
		c.bad(s.place, "%s is neither true nor false; allowed: true, false", show(s.text))
	}
	return false
}

// choice reads one of a few words; if it is absent or wrong it is the default.
func choice[T ~string](c *checker, s scalar, def T, allowed ...T) T {
	if !s.ok() {
		return def
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	if i := slices.Index(words, s.text); i >= 0 {
		return allowed[i]
	}
	if laterValue(general(s.key), s.text) {
		c.bad(s.place, "%s comes in a later version; this version has %s", s.text, strings.Join(words, ", "))
		return def
	}
	c.bad(s.place, "%s is not known%s; allowed: %s", show(s.text), meant(s.text, words), strings.Join(words, ", "))
	return def
}

// validName says whether a string can name a node, listener, pool or backend.
func validName(s string) bool {
	if len(s) < 1 || len(s) > 63 || strings.Trim(s, "._-") == "" {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		default:
			return false
		}
	}
	return true
}

const nameRule = "1 to 63 letters (a-z, A-Z), digits, dots, dashes and underscores, at least one of them a letter or a digit"

// name reads a name; "" if it is absent or wrong.
func (c *checker) name(s scalar) string {
	if !s.ok() {
		return ""
	}
	if !validName(s.text) {
		c.bad(s.place, "%s is not a name; allowed: %s", show(s.text), nameRule)
		return ""
	}
	return s.text
}

// path reads an absolute path; if it is absent or wrong it is the default.
func (c *checker) path(s scalar, def string) string {
	if !s.ok() {
		return def
	}
	switch p := s.text; {
	case p == "":
		c.bad(s.place, "is empty; write an absolute path")
	case !filepath.IsAbs(p):
		c.bad(s.place, "%s is not absolute; the daemon has no working directory to count on: write /…", show(p))
	case len(p) > 1024 || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' }):
		c.bad(s.place, "%s is not a usable path; allowed: up to 1024 characters on one line", show(p))
	case filepath.Clean(p) == "/":
		c.bad(s.place, "%s is the root directory; name one below it", show(p))
	default:
		return filepath.Clean(p)
	}
	return def
}

// need reports a key that is missing in a block that is otherwise readable.
func (c *checker) need(b block, key string, s bool, what string) {
	if b.set && !b.bad && !s {
		c.bad(b.under(key), "is missing; write %s", what)
	}
}
