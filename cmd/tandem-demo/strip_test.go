package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestWorseShowsTwoHoldersBeforeNoneBeforeOne(t *testing.T) {
	for _, c := range []struct{ before, now, want byte }{
		{' ', '1', '1'}, {'1', '2', '2'}, {'1', '.', '.'}, {'.', '2', '.'}, {'!', '2', '!'}, {'.', '!', '!'},
	} {
		if got := worse(c.before, c.now); got != c.want {
			t.Errorf("worse(%q, %q) = %q, want %q", c.before, c.now, got, c.want)
		}
	}
}

func TestLetterOfNamesTheNode(t *testing.T) {
	for _, c := range []struct {
		who  []string
		want byte
	}{{nil, '.'}, {[]string{"lb1"}, '1'}, {[]string{"lb2"}, '2'}, {[]string{"lb1", "lb2"}, '!'}} {
		if got := letterOf(c.who); got != c.want {
			t.Errorf("letterOf(%v) = %q, want %q", c.who, got, c.want)
		}
	}
}

func TestMarkersStandOverTheirMomentAndDoNotRunIntoEachOther(t *testing.T) {
	begin := time.Now()
	s := &strip{marks: []mark{{begin.Add(-slot), "gone by"}, {begin.Add(3 * slot), "killed"}, {begin.Add(5 * slot), "started"}}}
	if got, want := s.markers(begin), "   v killed v started"; got != want {
		t.Errorf("markers:\n%q, want\n%q", got, want)
	}
}

func TestPlainScreenHasNoEscapes(t *testing.T) {
	var b bytes.Buffer
	s := newScreen(&b)
	s.draw(&strip{}, time.Now()) // nothing but the last state is of use in a file
	if b.Len() > 0 {
		t.Errorf("drew %q into a file", b.String())
	}
	if got := s.paint("1!x"); strings.Contains(got, "\x1b") {
		t.Errorf("painted %q in a file", got)
	}
	s.color = true
	if got := s.paint("x"); !strings.Contains(got, "\x1b[31m") {
		t.Errorf("painted %q on a terminal, want red", got)
	}
}

func TestWrongUseIsTold(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"surplus"}} {
		var out, err bytes.Buffer
		if code := run(t.Context(), args, &out, &err); code != exitUsage || err.Len() == 0 {
			t.Errorf("%v: exit status %d, said %q, want %d and a reason", args, code, err.String(), exitUsage)
		}
	}
}
