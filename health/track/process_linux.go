package track

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxProcesses bounds how much of the process table is searched.
const maxProcesses = 1 << 16

func (i Item) checkProcess() error {
	if i.PIDFile == "" {
		return findProcess(i.Process)
	}
	data, err := readFile(i.PIDFile, 64)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(data)))
	if err != nil || pid < 1 {
		return fmt.Errorf("%s holds no process id", i.PIDFile)
	}
	// A signal that is not sent: it sees processes that are hidden in /proc, too.
	if err := unix.Kill(pid, 0); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("process %d does not run", pid)
	}
	name, dead, err := processName(pid)
	switch {
	case dead:
		return fmt.Errorf("process %d has ended", pid)
	case i.Process == "":
		return nil
	case err != nil:
		return fmt.Errorf("process %d cannot be looked at: %w", pid, err)
	case !named(pid, name, i.Process):
		return fmt.Errorf("process %d is %s", pid, name)
	}
	return nil
}

// findProcess looks for a process of that name.
func findProcess(name string) error {
	dir, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer dir.Close()
	entries, _ := dir.Readdirnames(maxProcesses)
	for _, e := range entries {
		pid, err := strconv.Atoi(e)
		if err != nil {
			continue
		}
		if is, dead, err := processName(pid); err == nil && !dead && named(pid, is, name) {
			return nil
		}
	}
	return errors.New("does not run")
}

// processName reads the kernel's name of a process, which has 15 bytes at most, and whether it is only waiting to be reaped.
func processName(pid int) (name string, dead bool, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false, err
	}
	name, dead, ok := parseStat(b)
	if !ok {
		return "", false, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	return name, dead, nil
}

// parseStat reads the beginning of /proc/PID/stat: pid (name) state, where the name may contain anything.
func parseStat(b []byte) (name string, dead, ok bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open || len(b) < end+3 {
		return "", false, false
	}
	state := b[end+2]
	return string(b[open+1 : end]), state == 'Z' || state == 'X', true
}

// named says whether a process is called so, by the kernel or by the file name of its program.
func named(pid int, is, want string) bool {
	const most = 15 // the kernel cuts longer names
	if is == want && len(want) <= most {
		return true
	}
	if len(want) <= most || is != want[:most] {
		return false
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	program, _, _ := bytes.Cut(line, []byte{0})
	return path.Base(string(program)) == want
}
