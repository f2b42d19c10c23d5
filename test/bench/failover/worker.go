package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// worker does one job after the other, in the same lab as long as the system is the same and the lab is whole.
type worker struct {
	plan
	b *bench // nil: a new one is needed
}

// do measures one job. When the bench itself fails it is tried once more in a new lab; what a system did not survive is its result.
func (w *worker) do(ctx context.Context, j job, out io.Writer) (result, error) {
	for last := false; ; last = true {
		r, err := w.once(ctx, j)
		if err == nil {
			return r, nil
		}
		if ctx.Err() != nil {
			return r, errors.New("interrupted")
		}
		logs := w.fail(j)
		if errors.Is(err, errLost) {
			r.Note += "; logs are in " + logs
			return r, nil
		}
		err = fmt.Errorf("%s with %s: %w; logs are in %s", j.fault.name, j.system.name, err, logs)
		if last {
			return r, err
		}
		fmt.Fprintf(out, "%v; once more\n", err)
	}
}

func (w *worker) once(ctx context.Context, j job) (result, error) {
	if w.b != nil && w.b.system.name != j.system.name {
		w.close()
	}
	if w.b == nil {
		dir, err := filepath.Abs(w.logs(j.system.name))
		if err != nil {
			return result{}, err
		}
		if w.b, err = open(ctx, j.system, w.binary, dir); err != nil {
			w.b = nil
			return result{}, err
		}
	}
	return w.b.run(ctx, j.fault, j.run)
}

func (w *worker) logs(name string) string { return filepath.Join(w.dir, "logs", name) }

// fail closes the lab and puts its logs where the next one does not overwrite them.
func (w *worker) fail(j job) string {
	w.close()
	from := w.logs(j.system.name)
	to := fmt.Sprintf("%s-%s-%d", from, j.fault.name, j.run+1)
	_ = os.RemoveAll(to)
	if err := os.Rename(from, to); err != nil {
		return from
	}
	return to
}

func (w *worker) close() {
	if w.b != nil {
		w.b.lab.Close()
		w.b = nil
	}
}
