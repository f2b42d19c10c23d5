package api

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// whoMay says who may use the socket at path, for somebody who may not.
func whoMay(path string) string {
	me := "this user"
	if u, err := user.Current(); err == nil {
		me = u.Username
	}
	// The socket itself can be out of sight; then its directory is what refuses.
	for range 3 {
		info, err := os.Stat(path)
		if err != nil {
			path = filepath.Dir(path)
			continue
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			break
		}
		group := groupName(st.Gid)
		if st.Gid == 0 {
			return fmt.Sprintf("%s belongs to user %s (mode %04o); ask as root", path, userName(st.Uid), info.Mode().Perm())
		}
		return fmt.Sprintf("%s belongs to user %s and group %s (mode %04o); ask as root, or join that group: usermod -aG %s %s, and log in again",
			path, userName(st.Uid), group, info.Mode().Perm(), group, me)
	}
	return "ask as root, or as a member of the group that the daemon runs as"
}

func userName(id uint32) string {
	s := strconv.FormatUint(uint64(id), 10)
	if u, err := user.LookupId(s); err == nil {
		return u.Username
	}
	return s
}

func groupName(id uint32) string {
	s := strconv.FormatUint(uint64(id), 10)
	if g, err := user.LookupGroupId(s); err == nil {
		return g.Name
	}
	return s
}
