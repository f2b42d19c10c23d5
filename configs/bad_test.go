package configs

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write what is found into the .want files; read the diff before committing")

// lab is a host as the files of testdata expect it.
func lab() Host {
	return Host{
		Name: func() (string, error) { return "lb1", nil },
		Addresses: func() ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.11"), netip.MustParseAddr("2001:db8::11")}, nil
		},
		Interface: func(name string) error {
			if name != "eth0" && name != "eth1" {
				return fs.ErrNotExist
			}
			return nil
		},
		Key:  func(string) error { return nil },
		File: func(string) error { return nil },
	}
}

// told is all that is found, one line each.
func told(warnings []Warning, err error) string {
	var b strings.Builder
	if err != nil {
		b.WriteString(err.Error() + "\n")
	}
	for _, w := range warnings {
		b.WriteString("warning: " + w.String() + "\n")
	}
	return b.String()
}

func TestBadFilesAreRefusedWithEveryProblem(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("only %d bad files (%v)", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, warnings, err := Parse(name, data, lab())
			if cfg != nil || err == nil {
				t.Fatalf("Parse accepts it: %+v", cfg)
			}
			inside(t, data, warnings, err)
			compare(t, strings.TrimSuffix(file, ".yaml")+".want", told(warnings, err))
		})
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%swant (%s; -update rewrites it):\n%s", got, file, want)
	}
}

// inside checks that each problem has a place in the file, a text of one line, and its order.
func inside(t *testing.T, data []byte, warnings []Warning, err error) {
	t.Helper()
	var all []Problem
	for _, w := range warnings {
		all = append(all, w.Problem)
	}
	if err != nil {
		problems, ok := errors.AsType[Problems](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("the error is %T %v, want Problems", err, err)
		}
		for i := range problems[1:] {
			if before(problems[i], problems[i+1]) > 0 && problems[i+1].Line > 0 {
				t.Errorf("%s\nstands before\n%s", problems[i], problems[i+1])
			}
		}
		all = append(all, problems...)
	}
	lines := bytes.Split(bytes.TrimPrefix(data, []byte("\ufeff")), []byte("\n"))
	for _, p := range all {
		if !utf8.ValidString(p.Text) || strings.ContainsAny(p.String(), "\n\r\x00\x1b") || p.Text == "" {
			t.Errorf("%q is not one line of text", p.String())
		}
		if p.Line == 0 {
			continue // of the file as a whole
		}
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCount(lines[p.Line-1])+1 {
			t.Errorf("%s: is outside of the file (%d lines)", p, len(lines))
		}
	}
}
