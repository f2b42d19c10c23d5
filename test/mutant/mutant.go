// Package mutant breaks rules on purpose: a test that is to prove something must notice.
package mutant

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// HuntAll breaks the rules one by one: each file in testdata/mutants changes a few lines of a source file, and a test of the package in the current directory must
// notice, by the invariant that the file names. A mutant that survives, or whose lines are no longer there, is an error; so are fewer than least. The test that notices has the flags
// -schedules, -seed, -only and -invariant, and prints its seed.
func HuntAll(t *testing.T, least int) {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles the package once for each mutant; runs without -short")
	}
	files, err := filepath.Glob("testdata/mutants/*.txt")
	if err != nil || len(files) < least {
		t.Fatalf("%d mutants, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			m, err := readMutant(file)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			m.hunt(t)
		})
	}
}

// mutant is a change of one source file, and who must notice it.
type mutant struct {
	source    string // file, as seen from the package under test
	edits     []edit
	test      string // that must notice; TestModel if empty
	invariant string // part of the failure's text
	only      string // experiment; empty: all
}

type edit struct{ old, new string }

// readMutant reads "key: value" lines, then pairs of the lines to replace, after "-- old", and what replaces them, after "-- new".
func readMutant(file string) (mutant, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return mutant{}, err
	}
	var m mutant
	parts := strings.Split(string(text), "-- old\n")
	for _, part := range parts[1:] {
		before, after, ok := strings.Cut(part, "-- new\n")
		if !ok {
			return m, fmt.Errorf(`no line "-- new" after "-- old"`)
		}
		m.edits = append(m.edits, edit{before, after})
	}
	for line := range strings.Lines(parts[0]) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "file":
			m.source = value
		case "invariant":
			m.invariant = value
		case "only":
			m.only = value
		case "test":
			m.test = value
		}
	}
	if m.source == "" || m.invariant == "" || len(m.edits) == 0 {
		return m, fmt.Errorf("file, invariant and what to change must be given")
	}
	if m.test == "" {
		m.test = "TestModel"
	}
	return m, nil
}

// hunt runs the model over the mutant.
func (m mutant) hunt(t *testing.T) {
	text, err := os.ReadFile(m.source)
	if err != nil {
		t.Fatal(err)
	}
	source := string(text)
	for _, e := range m.edits {
		if n := strings.Count(source, e.old); n != 1 {
			t.Fatalf("the lines to change are %d times in %s, want once: the mutant must follow the code\n%s", n, m.source, e.old)
		}
		source = strings.Replace(source, e.old, e.new, 1)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, filepath.Base(m.source))
	if err := os.WriteFile(changed, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	original, err := filepath.Abs(m.source)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "mutant.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-overlay", list, "-c", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not compile: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), binary, "-test.run=^"+m.test+"$", "-test.timeout=2m", "-schedules=4000", "-seed=1", "-only="+m.only, "-invariant="+m.invariant).CombinedOutput()
	if err == nil {
		t.Fatalf("survived %q in %q:\n%s", m.invariant, m.only, out)
	}
	random := m.test != "TestStories" // and so it must say with which seed
	if !strings.Contains(string(out), m.invariant) || random && !strings.Contains(string(out), "seed") {
		t.Fatalf("died of something else than %q: %v\n%s", m.invariant, err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, m.invariant) {
			t.Log(strings.TrimSpace(line))
			break
		}
	}
}
