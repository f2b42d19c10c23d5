package certs

import (
	"os"
	"strings"
	"testing"
)

// A certificate may be bad only for the moment: the clock is behind, or whoever wrote it gives the rights later.
func TestBadCertificateIsReadAgain(t *testing.T) {
	f := in(t.TempDir(), "a")
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "old.example.org").write(t, f)
	s, log := newStore(t, f)
	now := epoch.AddDate(0, 1, 0)
	if err := s.Load(now); err != nil {
		t.Fatal(err)
	}
	create(t, false, epoch.AddDate(0, 2, 0), epoch.AddDate(1, 0, 0), "early.example.org").write(t, f)
	for range 5 {
		s.Look(now)
	}
	if got := served(t, s, ""); got != "old.example.org" || strings.Count(log.String(), "is valid from") != 1 {
		t.Errorf("serves %s, log %q; want the old one, told once", got, log)
	}
	s.Look(epoch.AddDate(0, 3, 0))
	if got := served(t, s, ""); got != "early.example.org" {
		t.Errorf("when its time has come, serves %s", got)
	}
}

func TestCertificateThatWasMissingAtTheStartIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	a, b := in(dir, "a"), in(dir, "b")
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "a.example.org").write(t, a)
	create(t, false, epoch, epoch.AddDate(1, 0, 0), "b.example.org").write(t, b)
	key, err := os.ReadFile(b.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.Key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := newStore(t, a, b)
	now := epoch.AddDate(0, 1, 0)
	if err := s.Load(now); err != nil {
		t.Fatal(err)
	}
	if got := served(t, s, "b.example.org"); got != "a.example.org" {
		t.Errorf("serves %s", got)
	}
	replace(t, b.Key, key)
	s.Look(now)
	s.Look(now)
	if got := served(t, s, "b.example.org"); got != "b.example.org" {
		t.Errorf("when it can be read, serves %s", got)
	}
}
