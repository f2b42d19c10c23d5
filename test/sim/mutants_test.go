package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSimKillsMutants breaks rules of the daemon one by one, and the simulation must notice: a check of the checks.
func TestSimKillsMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds everything once for each mutant; runs without -short")
	}
	files, err := filepath.Glob("testdata/mutants/*.txt")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d mutants, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			hunt(t, string(text))
		})
	}
}

func hunt(t *testing.T, text string) {
	head, edits, _ := strings.Cut(text, "-- old\n")
	keys := map[string]string{}
	for line := range strings.Lines(head) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			keys[key] = value
		}
	}
	original, err := filepath.Abs(filepath.Join("..", "..", keys["file"]))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(source)
	for edit := range strings.SplitSeq(edits, "-- old\n") {
		was, is, ok := strings.Cut(edit, "-- new\n")
		if n := strings.Count(changed, was); !ok || n != 1 {
			t.Fatalf("the lines to change are %d times in %s, want once: the mutant must follow the code\n%s", n, keys["file"], was)
		}
		changed = strings.Replace(changed, was, is, 1)
	}
	binary := buildMutant(t, original, changed)
	out, err := exec.CommandContext(t.Context(), binary, "-test.run=^"+keys["test"]+"$", "-test.timeout=5m", "-seeds="+keys["seeds"], "-only="+keys["only"]).CombinedOutput()
	if err == nil {
		t.Fatalf("survived %s seeds of %s", keys["seeds"], keys["test"])
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, keys["sign"]) && strings.Contains(line, "_test.go") {
			t.Log(strings.TrimSpace(line))
			return
		}
	}
	t.Fatalf("died of something else than %q: %v\n%.4000s", keys["sign"], err, out)
}

// buildMutant builds this package's tests with one file replaced.
func buildMutant(t *testing.T, original, text string) (binary string) {
	dir := t.TempDir()
	changed, list := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{changed: []byte(text), list: overlay} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary = filepath.Join(dir, "mutant.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-overlay", list, "-c", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("the mutant does not compile: %w\n%s", err, out))
	}
	return binary
}
