package configs

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// KeySize is the length of the cluster's key in bytes.
const KeySize = 32

// ReadKey reads a key file: one base64 line of 32 bytes, as `tandem keygen` makes it.
func ReadKey(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold the start up
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key file %s does not exist; make one with tandem keygen --out %s and copy it to the other nodes", path, path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("key file: %w; this user cannot read it: run as root, or let the daemon's group (chgrp tandem %s && chmod 0640 %s)", err, path, path)
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	if st, err := f.Stat(); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("key file %s is not a file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("key file %s %w; allowed: one base64 line of %d bytes, as tandem keygen makes it", path, err, KeySize)
	}
	return key, nil
}

// parseKey never tells what it read.
func parseKey(data []byte) ([]byte, error) {
	line := bytes.TrimSpace(data)
	switch {
	case len(line) == 0:
		return nil, errors.New("is empty")
	case bytes.ContainsAny(line, "\r\n"):
		return nil, errors.New("has more than one line")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(string(line))
	switch {
	case err != nil:
		return nil, errors.New("is not base64")
	case len(key) != KeySize:
		return nil, fmt.Errorf("holds %d bytes", len(key))
	case bytes.Equal(key, make([]byte, KeySize)):
		return nil, errors.New("holds only zeros")
	}
	return key, nil
}

// CheckKey says what is wrong with a key file: what ReadKey says, and whether others than its owner and group can read it or anyone but its owner can write it.
func CheckKey(path string) error {
	if _, err := ReadKey(path); err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	if mode := st.Mode().Perm(); mode&0o027 != 0 {
		return fmt.Errorf("key file %s has the mode %04o: others than its owner and group can use it; allowed: 0600 or 0640 (chmod 0600 %s)", path, mode, path)
	}
	return nil
}

// NewKey makes the line of a key file, with its newline.
func NewKey() string {
	var key [KeySize]byte
	_, _ = rand.Read(key[:]) // never fails: the program ends if the kernel has no randomness
	return base64.StdEncoding.EncodeToString(key[:]) + "\n"
}

// WriteKey makes a new key in a file that must not exist yet, readable by its owner only, and on the disk when it returns.
func WriteKey(path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is not overwritten: nodes with different keys do not hear each other; remove it first if that is meant", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; make the directory first", err)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path) // half a key is none
		}
	}()
	_, err = f.WriteString(NewKey())
	if err := errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
