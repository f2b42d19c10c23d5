package track

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/tandem-lb/tandem/command"
)

// realCheck is how a thing is checked on this host.
func realCheck(i Item) checkFunc {
	switch i.Kind {
	case Interface:
		return func(context.Context) error { return checkLink(i.Link) }
	case Gateway:
		return func(ctx context.Context) error { return askGateway(ctx, i) }
	case Script:
		return i.checkScript
	case Process:
		return func(context.Context) error { return i.checkProcess() }
	case File:
		return func(context.Context) error { return i.checkFile() }
	case Own:
	}
	return i.Check
}

// checkScript runs the script; the first words of what it wrote are a part of the reason.
func (i Item) checkScript(ctx context.Context) error {
	c := i.Command
	c.Timeout = i.Timeout
	out, err := command.Run(context.WithoutCancel(ctx), c)
	switch words := strings.TrimSpace(out); {
	case err == nil:
		return nil
	case words != "":
		return fmt.Errorf("%w: %s", err, words)
	}
	return err
}

// maxFile bounds what is read of a file.
const maxFile = 64 << 10

func (i Item) checkFile() error {
	_, err := os.Stat(i.Path)
	absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	switch {
	case i.Absent && absent:
		return nil
	case absent:
		return errors.New("is not there")
	case err != nil:
		return errors.Unwrap(err)
	case i.Absent:
		return errors.New("is there")
	case i.Text == "":
		return nil
	}
	data, err := readFile(i.Path, maxFile)
	switch {
	case err != nil:
		return err
	case !bytes.Contains(data, []byte(i.Text)):
		return errors.New("does not contain what it should")
	}
	return nil
}

// readFile reads the beginning of a regular file. It does not wait for the writer of a pipe.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(errors.New("is not a regular file"), err)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
