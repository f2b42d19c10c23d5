package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/test/lab"
)

// slot is the time that one letter of the timeline stands for.
const slot = 100 * time.Millisecond

// columns is how many letters a line has at most.
const columns = 64

func isatty(fd uintptr) bool {
	_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
	return err == nil
}

// screen draws timelines: live on a terminal, once when they are complete elsewhere.
type screen struct {
	w     io.Writer
	live  bool
	color bool
	lines int // of the timeline that is on the screen
}

func newScreen(w io.Writer) *screen {
	f, ok := w.(*os.File)
	live := ok && isatty(f.Fd()) && os.Getenv("TERM") != "dumb"
	return &screen{w: w, live: live, color: live && os.Getenv("NO_COLOR") == ""}
}

// mark is something that was done, shown above the timeline.
type mark struct {
	at   time.Time
	what string
}

// strip is the timeline of one fault.
type strip struct {
	pair  *lab.Pair
	load  *lab.Client
	begin time.Time

	mu    sync.Mutex // guards marks
	marks []mark
}

// draw puts the timeline up to now on the screen, in place of the one before.
func (s *screen) draw(t *strip, now time.Time) {
	if !s.live {
		return
	}
	s.clear()
	s.print(t, now)
}

// finish draws the timeline for the last time.
func (s *screen) finish(t *strip, now time.Time) {
	s.clear()
	s.print(t, now)
	s.lines = 0
}

func (s *screen) clear() {
	if s.lines > 0 {
		fmt.Fprintf(s.w, "\x1b[%dA\x1b[J", s.lines)
	}
	s.lines = 0
}

func (s *screen) print(t *strip, now time.Time) {
	begin := t.begin
	if extra := now.Sub(begin) - columns*slot; extra > 0 {
		begin = begin.Add(extra.Truncate(slot) + slot)
	}
	n := int(now.Sub(begin) / slot)
	for _, line := range []string{
		"            " + t.markers(begin),
		"    VIP at  " + s.paint(t.holders(begin, n)),
		"    client  " + s.paint(t.answers(begin, n)),
	} {
		fmt.Fprintln(s.w, line)
		s.lines++
	}
}

// markers places each mark over its moment; one that would run into the one before moves right.
func (t *strip) markers(begin time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, m := range t.marks {
		col := int(m.at.Sub(begin) / slot)
		if col < 0 {
			continue
		}
		if b.Len() > 0 && b.Len() >= col {
			b.WriteByte(' ')
		}
		b.WriteString(strings.Repeat(" ", max(0, col-b.Len())))
		b.WriteString("v " + m.what)
	}
	return b.String()
}

// holders has a letter for each slot: the number of the node that answers for the VIP, ! when two do, . when nobody does.
func (t *strip) holders(begin time.Time, n int) string {
	v := t.pair.Watch.View(begin, begin.Add(time.Duration(n)*slot))
	var b strings.Builder
	for i := range n {
		from, to := begin.Add(time.Duration(i)*slot), begin.Add(time.Duration(i+1)*slot)
		letter := byte(' ')
		for j, c := range v.Changes {
			if c.At.Before(to) && (j == len(v.Changes)-1 || v.Changes[j+1].At.After(from)) {
				letter = worse(letter, letterOf(c.Who))
			}
		}
		b.WriteByte(letter)
	}
	return b.String()
}

func letterOf(who []string) byte {
	switch len(who) {
	case 0:
		return '.'
	case 1:
		return who[0][len(who[0])-1]
	}
	return '!'
}

// worse picks the letter that a slot shows: two holders before none, none before one, the later one before the earlier.
func worse(a, b byte) byte {
	for _, c := range []byte{'!', '.'} {
		if a == c || b == c {
			return c
		}
	}
	return b
}

// answers has a letter for each slot: # all attempts got their answer, + some, x none; nothing while they wait.
func (t *strip) answers(begin time.Time, n int) string {
	b := []byte(strings.Repeat(" ", n))
	for _, a := range t.load.Attempts(begin, begin.Add(time.Duration(n)*slot)) {
		i := int(a.Start.Sub(begin) / slot)
		letter := byte('#')
		if a.Outcome != lab.OK {
			letter = 'x'
		}
		if b[i] != ' ' && b[i] != letter {
			letter = '+'
		}
		b[i] = letter
	}
	return string(b)
}

// paint colours a line on a terminal: what is well green and blue, what is not red and yellow.
func (s *screen) paint(line string) string {
	if !s.color {
		return line
	}
	codes := map[rune]string{'1': "36", '2': "34", '#': "32", '+': "33", 'x': "31", '.': "31", '!': "35"}
	var b strings.Builder
	last := ""
	for _, r := range line {
		if code := codes[r]; code != last {
			fmt.Fprintf(&b, "\x1b[%sm", code)
			last = code
		}
		b.WriteRune(r)
	}
	return b.String() + "\x1b[0m"
}

// add sets a mark.
func (t *strip) add(m mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.marks = append(t.marks, m)
}

// follow redraws the timeline with every slot until the function that it returns is called.
func (s *screen) follow(ctx context.Context, t *strip) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(slot)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.draw(t, time.Now())
			case <-quit:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
