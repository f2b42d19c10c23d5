package state

import (
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestStateSurvives(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var", "lib", "tandem")
	for _, want := range []State{{}, {Term: 1}, {Term: math.MaxUint64}, {Term: 7}, {Term: 8, Maintenance: true},
		{Term: 8, MACs: map[string][]net.HardwareAddr{"lb1": {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}, "lb2": {{2, 0, 0, 0, 1, 1}}}}} {
		if err := Save(dir, want); err != nil {
			t.Fatal(err)
		}
		if got, warning := Load(dir); !reflect.DeepEqual(got, want) || warning != nil {
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

func TestWhatCannotBeKeptIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	s := State{Term: 1, MACs: map[string][]net.HardwareAddr{"empty": nil, "bad": {{1}}}}
	for i := range 200 {
		s.MACs[fmt.Sprint("lb", i)] = make([]net.HardwareAddr, 0, 20)
		for j := range 20 {
			s.MACs[fmt.Sprint("lb", i)] = append(s.MACs[fmt.Sprint("lb", i)], net.HardwareAddr{2, 0, 0, 0, byte(i), byte(j)})
		}
	}
	if err := Save(dir, s); err != nil {
		t.Fatal(err)
	}
	got, warning := Load(dir)
	if warning != nil || len(got.MACs) != maxNodes || len(got.MACs["lb0"]) != maxMACs || got.MACs["bad"] != nil {
		t.Errorf("Load = %d nodes, %v", len(got.MACs), warning)
	}
}

func TestNothingThereIsNoReasonToWarn(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "not", "there")} {
		if got, warning := Load(dir); !reflect.DeepEqual(got, State{}) || warning != nil {
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
		"no MAC":          `{"version":1,"term":9,"macs":{"lb1":["zz"]}}`,
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
			if !reflect.DeepEqual(got, State{}) || warning == nil || !strings.Contains(warning.Error(), "the file is kept as") {
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
	if got, warning := Load(dir); !reflect.DeepEqual(got, State{}) || warning == nil || !strings.Contains(warning.Error(), "not a regular file") {
		t.Errorf("Load of a pipe = %+v, %v", got, warning)
	}
}

func TestSaveReplacesWhateverLiesInItsWay(t *testing.T) {
	dir := t.TempDir()
	for _, put := range []func(path string) error{
		func(path string) error { return syscall.Mkfifo(path, 0o600) }, // opening it would wait for ever
		func(path string) error { return os.Symlink(path, path) },
		func(path string) error {
			return os.WriteFile(path, []byte("left by a crash, and longer than what follows"), 0o600)
		},
	} {
		if err := put(filepath.Join(dir, fileName+".tmp")); err != nil {
			t.Fatal(err)
		}
		want := State{Term: 7}
		if err := Save(dir, want); err != nil {
			t.Error(err)
		}
		if got, warning := Load(dir); !reflect.DeepEqual(got, want) || warning != nil {
			t.Errorf("Load = %+v, %v, want %+v", got, warning, want)
		}
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
	f.Add([]byte(`{"version":1,"term":18446744073709551615}`))                                    // the largest term
	f.Add([]byte(`{"version":1,"term":18446744073709551616}`))                                    // one more
	f.Add([]byte(`{"version":1,"term":1e3}`))                                                     // no integer to encoding/json
	f.Add([]byte(`{"version":1,"term":1,"later":{"a":[1]}}`))                                     // keys of a later release
	f.Add([]byte(`{"version":1,"macs":{"lb1":["02-00-00-00-00-01","0200.0000.0002"],"lb2":[]}}`)) // other spellings
	f.Add([]byte("\x00\x00\x00"))                                                                 // after a power cut
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(b)
		if err != nil {
			if !reflect.DeepEqual(s, State{}) {
				t.Errorf("decode(%q) = %+v beside an error", b, s)
			}
			return
		}
		again, err := encode(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(again); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("decode(%q) = %+v, written and read again %+v, %v", b, s, got, err)
		}
	})
}
