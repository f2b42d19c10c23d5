package state

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestStateSurvives(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var", "lib", "tandem")
	for _, want := range []State{{}, {Term: 1}, {Term: math.MaxUint64}, {Term: 7}} {
		if err := Save(dir, want); err != nil {
			t.Fatal(err)
		}
		if got, warning := Load(dir); got != want || warning != nil {
			t.Errorf("Load = %+v, %v, want %+v", got, warning, want)
		}
	}
	wantFiles(t, dir, fileName)
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range es {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestNothingThereIsNoReasonToWarn(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "not", "there")} {
		if got, warning := Load(dir); got != (State{}) || warning != nil {
			t.Errorf("Load(%s) = %+v, %v", dir, got, warning)
		}
	}
}

func TestCorruptFileIsKeptAndWarnedOf(t *testing.T) {
	for name, content := range map[string]string{
		"empty":           "",
		"torn":            `{"version":1,"te`,
		"zeros":           strings.Repeat("\x00", 512), // what some file systems leave after a power cut
		"another version": `{"version":2,"term":9}`,
		"no version":      `{"term":9}`,
		"negative":        `{"version":1,"term":-1}`,
		"two in one":      `{"version":1,"term":9}{"version":1,"term":10}`,
		"huge":            `{"version":1,"term":9}` + strings.Repeat(" ", maxSize),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, fileName), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, warning := Load(dir)
			if got != (State{}) || warning == nil || !strings.Contains(warning.Error(), "the file is kept as") {
				t.Errorf("Load = %+v, %v", got, warning)
			}
			wantFiles(t, dir, aside)
			if kept, err := os.ReadFile(filepath.Join(dir, aside)); err != nil || string(kept) != content {
				t.Errorf("kept %q, %v", kept, err)
			}
			if err := Save(dir, State{Term: 3}); err != nil {
				t.Fatal(err)
			}
			if got, warning := Load(dir); got.Term != 3 || warning != nil {
				t.Errorf("after Save: Load = %+v, %v", got, warning)
			}
		})
	}
}

func TestStrangeFilesDoNotBlock(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, fileName), 0o600); err != nil {
		t.Skip("no pipes on this file system:", err)
	}
	if got, warning := Load(dir); got != (State{}) || warning == nil || !strings.Contains(warning.Error(), "not a regular file") {
		t.Errorf("Load of a pipe = %+v, %v", got, warning)
	}
}

func TestFailedSaveLeavesTheOldStateAndNoRubbish(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, fileName)
	if err := os.MkdirAll(filepath.Join(blocked, "full"), 0o700); err != nil { // a directory in the way: rename fails
		t.Fatal(err)
	}
	if err := Save(dir, State{Term: 3}); err == nil || !strings.Contains(err.Error(), "save state") {
		t.Errorf("Save = %v", err)
	}
	wantFiles(t, dir, fileName)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"term":18446744073709551615}`)) // the largest term
	f.Add([]byte(`{"version":1,"term":18446744073709551616}`)) // one more
	f.Add([]byte(`{"version":1,"term":1e3}`))                  // no integer to encoding/json
	f.Add([]byte(`{"version":1,"term":1,"later":{"a":[1]}}`))  // keys of a later release
	f.Add([]byte("\x00\x00\x00"))                              // after a power cut
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(b)
		if err != nil && s != (State{}) {
			t.Errorf("decode(%q) = %+v beside an error", b, s)
		}
	})
}
