package configs

import (
	"fmt"
	"io"
	"os"
)

// Load reads and checks a file on this host. Whatever is wrong with the file is in the error, a Problems. Facts of this
// host that do not fit, such as an interface that is not there yet, are warnings.
func Load(path string) (*Config, []Warning, error) {
	data, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	return Parse(path, data, ThisHost())
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return data, nil
}

// Parse checks the text of a file, whose name is for messages only, against what is known of the host. It is pure but for
// the functions of host, and safe with any input.
func Parse(name string, data []byte, host Host) (*Config, []Warning, error) {
	return parseWith(name, data, host, func(*report, *fileConfig, *Config) {})
}

// parseWith is Parse with a last check of a configuration that has no other problems.
func parseWith(name string, data []byte, host Host, last func(*report, *fileConfig, *Config)) (*Config, []Warning, error) {
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
		if len(r.problems) == 0 {
			last(r, &f, cfg)
		}
	}
	warnings, err := r.result()
	if err != nil {
		return nil, warnings, err
	}
	return cfg, warnings, nil
}
