package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// store keeps results as lines of JSON, so that what was measured survives an interruption.
type store struct {
	path    string
	results []result
}

// load reads what is there; a line that was cut off by an interruption is measured again.
func load(path string) (*store, error) {
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

// add appends a result to the file.
func (s *store) add(r result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s\n", line)
	s.results = append(s.results, r)
	return errors.Join(err, f.Close())
}

// drop forgets the results that match, and writes the file anew.
func (s *store) drop(match func(result) bool) error {
	var keep []result
	for _, r := range s.results {
		if !match(r) {
			keep = append(keep, r)
		}
	}
	if len(keep) == len(s.results) {
		return nil
	}
	s.results = nil
	if err := os.Remove(s.path); err != nil {
		return err
	}
	for _, r := range keep {
		if err := s.add(r); err != nil {
			return err
		}
	}
	return nil
}

// of lists the runs of a fault with a system.
func (s *store) of(fault, system string) []result {
	var list []result
	for _, r := range s.results {
		if r.Fault == fault && r.System == system {
			list = append(list, r)
		}
	}
	return list
}

// has says whether a run was measured.
func (s *store) has(fault, system string, run int) bool {
	for _, r := range s.of(fault, system) {
		if r.Run == run {
			return true
		}
	}
	return false
}
