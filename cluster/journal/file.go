package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	// maxFile is when a file becomes the older half: two of them hold what memory holds, and more.
	maxFile = 2 << 20
	// maxLine is far more than an entry of five nodes takes. A longer line is none of ours.
	maxLine = 32 << 10
)

// The file has one entry in JSON per line. It is only ever appended to, and never synced: what is in the kernel's hands survives the end of the process,
// however it ends; the last seconds before a loss of power may be missing, or a line be torn, which is skipped.

// load reads the older half, then the newer one.
func load(path string, s *store) (skipped int, err error) {
	for _, p := range []string{path + ".1", path} {
		n, e := loadFile(p, s)
		skipped += n
		if e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return skipped, err
}

func loadFile(path string, s *store) (skipped int, err error) {
	f, err := open(path, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // only read
	if _, err := f.Seek(-min(maxFile+maxLine, size(f)), io.SeekEnd); err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	return read(f, s)
}

// read takes in what r has, line by line. It keeps no more than a line of what makes no sense.
func read(r io.Reader, s *store) (skipped int, err error) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = b.ReadSlice('\n')
		}
		switch e, ok := decode(line); {
		case len(line) == 0 || len(line) == 1 && line[0] == '\n':
		case ok && !long:
			s.restore(e)
		default:
			skipped++
		}
		switch {
		case errors.Is(err, io.EOF):
			return skipped, nil
		case err != nil:
			return skipped, err
		}
	}
}

func decode(line []byte) (Entry, bool) {
	var e Entry
	if json.Unmarshal(line, &e) != nil || !e.sound() {
		return Entry{}, false
	}
	return e.bounded(), true
}

// open opens a regular file, and never waits for a pipe that somebody put there.
func open(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a regular file", path), err, f.Close())
	}
	return f, nil
}

func size(f *os.File) int64 {
	fi, err := f.Stat()
	if err != nil {
		return 0
	}
	return fi.Size()
}

// file appends entries. It is opened at the first one, and again after an error.
type file struct {
	path string
	f    *os.File
	size int64
}

func (w *file) append(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil || len(line) >= maxLine {
		return fmt.Errorf("entry %d of %d bytes: %w", e.Seq, len(line), errors.Join(err, errLong))
	}
	line = append(line, '\n')
	if err := w.ready(int64(len(line))); err != nil {
		return err
	}
	n, err := w.f.Write(line)
	w.size += int64(n)
	if err != nil {
		w.close()
	}
	return err
}

var errLong = errors.New("too long for a line")

// ready opens the file, or begins a new one when this one is full.
func (w *file) ready(more int64) error {
	if w.f == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	if w.size+more <= maxFile {
		return nil
	}
	w.close()
	if err := os.Rename(w.path, w.path+".1"); err != nil {
		return err
	}
	return w.open()
}

func (w *file) open() error {
	if err := os.MkdirAll(filepath.Dir(w.path), 0o700); err != nil {
		return err
	}
	f, err := open(w.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return err
	}
	w.f, w.size = f, size(f)
	if w.size > 0 { // the last line may be torn: what follows must not be lost with it
		n, err := f.Write([]byte("\n"))
		w.size += int64(n)
		if err != nil {
			w.close()
			return err
		}
	}
	return nil
}

func (w *file) close() {
	if w.f != nil {
		_ = w.f.Close()
		w.f = nil
	}
}
