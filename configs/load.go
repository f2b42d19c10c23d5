package configs

import (
	"fmt"
	"io"
	"os"
)

// Load reads and checks a file on this host. Whatever is wrong with the file is in the error, a Problems. Facts of this
// host that do not fit, such as an interface that is not there yet, are warnings.
func Load(path string) (*Config, []Warning, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, data, ThisHost())
}

// Parse checks the text of a file, whose name is for messages only, against what is known of the host. It is pure but for
// the functions of host, and safe with any input.
func Parse(name string, data []byte, host Host) (*Config, []Warning, error) {
	r := &report{file: name}
	node := r.tree(data)
	if node == nil {
		warnings, err := r.result()
		return nil, warnings, err
	}
	var f fileConfig
	mapping(r, node, place{line: 1, col: 1}, &f)
	var cfg *Config
	if !f.bad {
		cfg = (&checker{report: r, host: host, headed: map[string]bool{}, muxed: map[string]bool{}, guessed: map[string]bool{}}).config(&f)
	}
	warnings, err := r.result()
	if err != nil {
		return nil, warnings, err
	}
	return cfg, warnings, nil
}
