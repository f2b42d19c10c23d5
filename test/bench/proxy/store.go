package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// sample is one measurement: what a unit of work cost, and how many a second there were.
type sample struct{ Cost, Rate float64 }

type result struct {
	Row, System string
	sample
}

// store keeps results as lines of JSON, so that what was measured survives an interruption.
type store struct {
	path    string
	results []result
}

// open reads what is there; a line that was cut off is measured again.
func open(path string) (*store, error) {
	s := &store{path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r result
		if json.Unmarshal(lines.Bytes(), &r) == nil {
			s.results = append(s.results, r)
		}
	}
	return s, lines.Err()
}

func (s *store) add(r result) error {
	s.results = append(s.results, r)
	return s.write(os.O_APPEND, r)
}

func (s *store) drop(match func(result) bool) error {
	s.results = slices.DeleteFunc(s.results, match)
	return s.write(os.O_TRUNC, s.results...)
}

func (s *store) write(how int, results ...result) error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_WRONLY|how, 0o644)
	if err != nil {
		return err
	}
	for _, r := range results {
		line, err := json.Marshal(r)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		if _, err := fmt.Fprintf(f, "%s\n", line); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

func (s *store) count(row, system string) int { return len(s.of(row, system)) }

// of lists the samples of a row with a system.
func (s *store) of(row, system string) []sample {
	var list []sample
	for _, r := range s.results {
		if r.Row == row && r.System == system {
			list = append(list, r.sample)
		}
	}
	return list
}
