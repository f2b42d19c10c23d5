package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

const (
	fileName = "state.json"
	aside    = "state.json.corrupt" // the newest file that could not be read
	// version rises when an older release could not use the file. Unknown keys are kept out of a file by the next Save.
	version = 1
	maxSize = 64 << 10

	maxNodes = 64
	maxMACs  = 8
	maxName  = 64 // bytes
)

// State survives restarts. Its zero value is that of a node that never ran.
type State struct {
	Term uint64 // the highest term seen anywhere; a later claim must be newer
	// MACs are the hardware addresses that the peers had on the VIP's link, by node: by them a node that starts while the
	// path to its peer is cut still recognises who answers for the VIP. At most 64 nodes with 8 each are kept.
	MACs map[string][]net.HardwareAddr
	// Maintenance: an operator keeps this node from leading.
	Maintenance bool
}

// file is the form on disk.
type file struct {
	Version int                 `json:"version"`
	Term    uint64              `json:"term"`
	MACs    map[string][]string `json:"macs,omitempty"`
	// Maintenance is left out when off.
	Maintenance bool `json:"maintenance,omitempty"`
}

// Load reads the state from dir. It always returns a state to go on with. A directory or file that does not exist is no
// reason to warn; anything else is: the warning says what was lost and what was done about it. A file that makes no sense
// is kept beside the new one under the name state.json.corrupt. Not for use together with Save on the same dir.
func Load(dir string) (s State, warning error) {
	path := filepath.Join(dir, fileName)
	b, err := read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return State{}, nil
	case err != nil:
		return State{}, fmt.Errorf("%w; going on as a node that never ran: its next term comes from its peers, and maintenance is off", err)
	}
	s, err = decode(b)
	if err == nil {
		return s, nil
	}
	err = fmt.Errorf("%s makes no sense: %w; going on as a node that never ran: its next term comes from its peers, and maintenance is off", path, err)
	if rerr := os.Rename(path, filepath.Join(dir, aside)); rerr != nil {
		return State{}, errors.Join(err, fmt.Errorf("keep the file: %w", rerr))
	}
	return State{}, fmt.Errorf("%w; the file is kept as %s", err, filepath.Join(dir, aside))
}

// read is Read for the state.
func read(path string) ([]byte, error) { return Read(path, maxSize+1) }

// Read reads at most so many bytes of a regular file, and never waits for a pipe that somebody put there.
func Read(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a regular file", path), err)
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

func decode(b []byte) (State, error) {
	if len(b) > maxSize {
		return State{}, fmt.Errorf("longer than %d bytes", maxSize)
	}
	var f file
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&f); err != nil {
		return State{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return State{}, errors.New("something follows the end")
	}
	if f.Version != version {
		return State{}, fmt.Errorf("version %d, this release reads %d", f.Version, version)
	}
	s := State{Term: f.Term, Maintenance: f.Maintenance}
	if len(f.MACs) > maxNodes {
		return State{}, fmt.Errorf("hardware addresses of %d nodes, at most %d are kept", len(f.MACs), maxNodes)
	}
	for node, texts := range f.MACs {
		if len(texts) > maxMACs {
			return State{}, fmt.Errorf("%d hardware addresses of %q, at most %d are kept", len(texts), node, maxMACs)
		}
		for _, text := range texts {
			mac, err := net.ParseMAC(text)
			if err != nil {
				return State{}, err
			}
			if s.MACs == nil {
				s.MACs = map[string][]net.HardwareAddr{}
			}
			s.MACs[node] = append(s.MACs[node], mac)
		}
	}
	return s, nil
}

// encode leaves out what is beyond the bounds, and addresses that are none.
func encode(s State) ([]byte, error) {
	f := file{Version: version, Term: s.Term, Maintenance: s.Maintenance, MACs: map[string][]string{}}
	for _, node := range slices.Sorted(maps.Keys(s.MACs)) {
		var texts []string
		for _, mac := range s.MACs[node] {
			if _, err := net.ParseMAC(mac.String()); err == nil && len(texts) < maxMACs {
				texts = append(texts, mac.String())
			}
		}
		if len(texts) > 0 && len(node) <= maxName && len(f.MACs) < maxNodes {
			f.MACs[node] = texts
		}
	}
	return json.Marshal(f)
}

// Save replaces the state in dir, as Replace does.
func Save(dir string, s State) error {
	b, err := encode(s)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return Replace(dir, fileName, append(b, '\n'))
}

// Replace replaces a file in dir, which it makes if need be. When it returns nil the new content is on disk; when it
// returns an error, or the power fails meanwhile, the old or the new one is, whole. It waits for the disk, so it does not
// belong on the way to a claim. One caller at a time for each name.
func Replace(dir, name string, b []byte) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	path := filepath.Join(dir, name)
	// A fixed name: what a crash leaves is replaced by the next call. So is whatever else lies there, such as a pipe, which would make the opening wait.
	if err := ignoreMissing(os.Remove(path + ".tmp")); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("save state: %w", err), ignoreMissing(os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the rename itself durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
