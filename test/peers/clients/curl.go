package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-lb/tandem/test/peers/stand"
)

// check is one thing to do with curl. What it prints, with what say asks for behind it, must contain all of want.
type check struct {
	name  string
	path  string
	args  []string
	say   string
	want  []string
	then  func() error
	only1 bool   // HTTP/1.1 only
	not   string // not by this way
}

// What is left out is what curl 7.88 cannot do, against net/http neither: a second request by h2c with prior knowledge, and an answer by
// HTTP/2 before the end of an upload (RFC 9113, 8.1).
func checks(s *stand.Stand, upload, body string) []check {
	saved := filepath.Join(s.Dir, "saved")
	return []check{
		{name: "get", path: "/file/10", say: "%{http_code}", want: []string{"0123456789", "200"}},
		{name: "head", path: "/file/10", args: []string{"--head"}, want: []string{" 200", "ontent-", "ength: 10"}},
		{name: "two requests, one connection", path: "/file/10", args: []string{"--next", "-s"}, say: "<%{num_connects}>", want: []string{"<1>", "<0>"}, not: "h2c"},
		{name: "upload", path: "/sum", args: []string{"-T", upload}, want: []string{sum(body)}},
		{name: "upload in chunks", path: "/sum", args: []string{"-T", upload, "-H", "Transfer-Encoding: chunked"}, want: []string{sum(body)}, only1: true},
		{name: "expect", path: "/sum", args: []string{"-v", "-T", upload, "-H", "Expect: 100-continue", "--expect100-timeout", "30"},
			want: []string{"< HTTP/1.1 100 Continue", sum(body)}, only1: true},
		{name: "expect, and a refusal", path: "/refuse", args: []string{"-T", upload, "-H", "Expect: 100-continue", "--expect100-timeout", "30"},
			say: "%{http_code} %{size_upload}", want: []string{"413 0"}, only1: true},
		{name: "an early refusal", path: "/refuse", args: []string{"-T", upload, "-H", "Expect:"}, say: "<%{http_code}>", want: []string{"<413>"}, only1: true},
		{name: "resume", path: "/file/3000000", args: []string{"-C", "1234567", "-o", saved}, say: "%{http_code}", want: []string{"206"}, then: func() error {
			got, err := os.ReadFile(saved)
			_ = os.Remove(saved) // the next would go on behind it
			if want := text(3_000_000)[1234567:]; string(got) != want {
				return fmt.Errorf("%d bytes, want the last %d: %w", len(got), len(want), err)
			}
			return err
		}},
		{name: "a trailer in the answer", path: "/trailer", args: []string{"-D", "-"}, want: []string{"x-sum: abc"}},
		{name: "103 early hints", path: "/hints", args: []string{"-D", "-"}, want: []string{" 103", " 200"}},
		{name: "204", path: "/204", say: "<%{http_code}>", want: []string{"<204>"}},
		{name: "304", path: "/304", say: "<%{http_code}>", want: []string{"<304>"}},
		{name: "an answer of unknown length", path: "/flow", want: []string{strings.Repeat("flow ", 100)}},
		{name: "compression is passed on", path: "/file/100000", args: []string{"--compressed", "-D", "-"}, want: []string{" 200", text(100_000)}},
	}
}

func curl(w way, c check) error {
	args := append([]string{"-sS", "--max-time", "60"}, w.curl...)
	args = append(args, "-w", c.say)
	if i := len(c.args); i > 1 && c.args[0] == "--next" {
		args = append(args, w.url+c.path, w.url+c.path)
	} else {
		args = append(append(args, c.args...), w.url+c.path)
	}
	out, err := stand.Run(time.Minute, "curl", args...)
	if err != nil {
		return fmt.Errorf("%w: %.500s", err, out)
	}
	for _, want := range c.want {
		if !strings.Contains(strings.ToLower(out), strings.ToLower(want)) {
			return fmt.Errorf("%.500q lacks %.100q", out, want)
		}
	}
	if version, err := stand.Run(time.Minute, "curl", append(append([]string{"-sS", "-o", "/dev/null", "-w", "%{http_version}"}, w.curl...), w.url+"/204")...); err != nil || version != w.version {
		return fmt.Errorf("version %s, want %s (%w)", version, w.version, err)
	}
	if c.then != nil {
		return c.then()
	}
	return nil
}
