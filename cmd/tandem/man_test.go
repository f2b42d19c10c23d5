package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryCommandHasAManualPageOfItsHelp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man8")
	if status, _, stderr := tandem(t, "man", dir); status != 0 {
		t.Fatal(stderr)
	}
	for _, c := range newRoot().Commands() {
		page, err := os.ReadFile(filepath.Join(dir, "tandem-"+c.Name()+".8"))
		if c.Hidden {
			if err == nil {
				t.Errorf("tandem %s is hidden and has a page", c.Name())
			}
			continue
		}
		if err != nil || !strings.Contains(string(page), ".SH SYNOPSIS") || !strings.Contains(string(page), ".SH EXAMPLE") {
			t.Errorf("the page of tandem %s: %v\n%s", c.Name(), err, page)
		}
	}
	_, stdout, _ := tandem(t, "completion", "bash")
	if !strings.Contains(stdout, "__start_tandem") {
		t.Error("no completion for bash")
	}
}
