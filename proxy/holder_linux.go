package proxy

import (
	"bufio"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// States in the kernel's tables of sockets.
const (
	tcpListen      = "0A" // TCP_LISTEN
	udpUnconnected = "07" // TCP_CLOSE
)

// portHolder tells which process listens where addr wants to, as "nginx (pid 812)"; empty if it cannot be
// known, which for other users' processes needs root.
func portHolder(protocol Protocol, addr netip.AddrPort) string {
	tables, state := []string{"/proc/net/tcp", "/proc/net/tcp6"}, tcpListen
	if protocol == UDP {
		tables, state = []string{"/proc/net/udp", "/proc/net/udp6"}, udpUnconnected
	}
	for _, table := range tables {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		inode := listenInode(f, state, addr)
		f.Close()
		if inode != "" {
			return socketHolder(inode)
		}
	}
	return ""
}

// listenInode finds the socket that listens on addr, or on its port for all addresses, in a table
// as in /proc/net/tcp.
func listenInode(table *os.File, state string, addr netip.AddrPort) string {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != state {
			continue
		}
		local, ok := procAddr(f[1])
		if !ok || local.Port() != addr.Port() {
			continue
		}
		if a := local.Addr(); a.IsUnspecified() || addr.Addr().IsUnspecified() || a == addr.Addr().Unmap() {
			return f[9]
		}
	}
	return ""
}

// procAddr reads "0100007F:1F90": words in the byte order of the machine, which is taken to be little endian.
func procAddr(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok
}

// socketHolder finds the process that has a socket open.
func socketHolder(inode string) string {
	want := "socket:[" + inode + "]"
	dirs, _ := filepath.Glob("/proc/[0-9]*/fd")
	for _, dir := range dirs {
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if link, err := os.Readlink(filepath.Join(dir, fd.Name())); err != nil || link != want {
				continue
			}
			pid := filepath.Base(filepath.Dir(dir))
			comm, _ := os.ReadFile("/proc/" + pid + "/comm")
			return strings.TrimSpace(string(comm)) + " (pid " + pid + ")"
		}
	}
	return ""
}
