package main

import (
	"io"
	"testing"
)

func TestMissedFiguresAreCounted(t *testing.T) {
	rows := []row{{name: "r", cost: atMost("us", 1.2), rate: atLeast("1/s", 0.9), systems: []string{"tandem", "haproxy"}}}
	for _, c := range []struct {
		cost, rate float64
		want       int
	}{{12, 90, 0}, {13, 90, 1}, {12, 89, 1}, {13, 89, 2}} {
		s := &store{results: []result{
			{Row: "r", System: "tandem", sample: sample{c.cost, c.rate}}, {Row: "r", System: "haproxy", sample: sample{10, 100}},
		}}
		if got := show(io.Discard, rows, s); got != c.want {
			t.Errorf("cost %v to 10 and rate %v to 100: %d missed, want %d", c.cost, c.rate, got, c.want)
		}
	}
}
