package command

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// owner is who a command runs as.
type owner struct{ uid, gid uint32 }

// nobody is the user and group of no rights where the host's user database does not know one (the kernel's overflowuid).
const nobody = 65534

// credential finds out who runs a command; nil means whoever this process is.
func credential(name string) (*owner, error) {
	root := os.Geteuid() == 0
	if name == "" && !root {
		return nil, nil
	}
	u, err := user.Lookup(orNobody(name))
	if err != nil {
		if name == "" {
			return &owner{nobody, nobody}, nil //nolint:nilerr // a host without a user database
		}
		return nil, fmt.Errorf("run as %s: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run as %s: user id %q: %w", name, u.Uid, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run as %s: group id %q: %w", name, u.Gid, err)
	}
	switch {
	case uid == 0:
		return nil, fmt.Errorf("run as %s: commands do not run as root; name a user without rights", name)
	case !root && int(uid) == os.Geteuid():
		return nil, nil
	case !root:
		return nil, fmt.Errorf("run as %s: only a daemon that is root can run commands as another user; leave run_as out", name)
	}
	return &owner{uint32(uid), uint32(gid)}, nil
}

func orNobody(name string) string {
	if name == "" {
		return "nobody"
	}
	return name
}
