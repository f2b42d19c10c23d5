package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzParse: whatever is read, nothing panics, problems lie within the file, and what is accepted is sound.
func FuzzParse(f *testing.F) {
	for _, glob := range []string{"testdata/bad/*.yaml", "examples/*.yaml", "reference.yaml"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("\ufeffnode: a\r\ncluster:\r\n  bind: 10.0.0.1\r\n")) // a byte order mark, lines as Windows ends them
	f.Add([]byte("vip: {addresses: [2001:db8::1, ::1]}"))              // IPv6 within brackets: the scanner makes mappings of it
	f.Add([]byte("node: |\n  a\n  b\nlog: >\n x\n"))                   // values of several lines
	f.Add([]byte("node: \"a\\x00\\n\\e\"\n"))                          // control characters by escapes
	f.Add([]byte("? a\n: b\n? [c]\n: d\n{e: f}: g\n"))                 // keys that are no words
	f.Add([]byte("pools:\n  -"))                                       // what is missing has a place beyond the end of the file
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, warnings, err := Parse("f", data, lab())
		if (cfg == nil) != (err != nil) {
			t.Fatalf("Parse = %v, %v", cfg, err)
		}
		inside(t, []byte(strings.ReplaceAll(string(data), "\r\n", "\n")), warnings, err)
		if cfg != nil {
			sound(t, cfg)
			again, _, err := Parse("g", data, lab())
			if err != nil || Hash(cfg) != Hash(again) {
				t.Errorf("read again it is another: %v", err)
			}
		}
	})
}

// FuzzKey: whatever a key file holds, it is a key of 32 bytes or an error that does not tell it.
func FuzzKey(f *testing.F) {
	f.Add([]byte(NewKey()))
	f.Add([]byte(""))
	f.Add([]byte("c2VjcmV0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := parseKey(data)
		if (err == nil) != (len(key) == KeySize) {
			t.Errorf("parseKey(%q) = %d bytes, %v", data, len(key), err)
		}
	})
}

// TestHostileFilesEndSoon: each is as large as a file may be, and made to take time or stack.
func TestHostileFilesEndSoon(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds with the race detector; not with -short")
	}
	fill := func(s string) string { return strings.Repeat(s, (maxFile-100)/len(s)) }
	for name, text := range map[string]string{
		"brackets":       fill("["),
		"braces":         fill("{a: "),
		"dashes":         fill("- "),
		"nested keys":    fill("a: "),
		"deep":           deep(),
		"unknown keys":   fill("a1: b\n") + "z: 1\n",
		"keys in braces": "{" + fill("a: b, ") + "}",
		"list in braces": "{peers: [" + fill("a, ") + "]}",
		"braces at once": fill("a: {b: [c]}\n"),
		"entries":        "peers:\n" + fill("- a\n"),
		"glued":          "{peers: [" + fill("a:b, ") + "]}",
		"tabs":           fill("\ta\n"),
		"different keys": numbered("key%: 1\n"),
		"backends":       "pools:\n  - name: p\n    backends:\n" + numbered("      - {name: b%, address: 10.0.0.1:80}\n"),
		"listeners":      "listeners:\n" + numbered("  - {name: l%, bind: 10.0.0.10:80, protocol: tcp, pool: p}\n"),
		"long word":      "node: " + fill("a"),
		"long key":       fill("a") + ": 1",
		"quote":          "node: \"" + fill("a"),
		"comments":       fill("# a\n"),
		"blank lines":    fill("\n"),
		"long text":      "node: |\n" + fill("  a\n"),
		"many lines":     "node: a\n" + fill("  a\n"),
		"too large":      fill("a: b\n") + strings.Repeat("too large\n", 100),
	} {
		start := time.Now()
		if cfg, warnings, err := Parse("f", []byte(text), lab()); err == nil {
			t.Errorf("%s: accepted: %v, %v", name, cfg, warnings)
		} else if n := strings.Count(err.Error(), "\n"); n > maxProblems+1 {
			t.Errorf("%s: %d lines of problems", name, n)
		}
		if took := time.Since(start); took > 20*time.Second { // a second at most when nothing else runs
			t.Errorf("%s: took %v", name, took)
		} else {
			t.Logf("%s: %v", name, took)
		}
	}
}

func numbered(line string) string {
	var b strings.Builder
	for i := 0; b.Len() < maxFile-100; i++ {
		b.WriteString(strings.ReplaceAll(line, "%", "x"+strings.Repeat("i", i%5)+string(rune('a'+i%26))+strings.TrimLeft(time.Duration(i).String(), "0")))
	}
	return b.String()
}

func deep() string {
	var b strings.Builder
	for i := 0; b.Len() < maxFile-2000; i++ {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
