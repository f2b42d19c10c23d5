package resolve

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

const (
	systemFile = "/etc/resolv.conf"
	// maxServers is how many the system's resolver takes from the file, too.
	maxServers = 3
	maxFile    = 64 << 10
	port       = 53
)

// servers returns whom to ask.
func (r *Resolver) servers(cfg *Config) ([]netip.AddrPort, error) {
	if len(cfg.Servers) > 0 {
		return cfg.Servers, nil
	}
	f, err := os.Open(r.file)
	if err != nil {
		return nil, fmt.Errorf("name servers: %w; write resolver.servers", err)
	}
	defer f.Close()
	return parseServers(io.LimitReader(f, maxFile)), nil
}

// parseServers reads a resolv.conf. Without a server in it, the one of this host is meant.
func parseServers(file io.Reader) []netip.AddrPort {
	var out []netip.AddrPort
	lines := bufio.NewScanner(file)
	for lines.Scan() && len(out) < maxServers {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil {
			out = append(out, netip.AddrPortFrom(a, port))
		}
	}
	if len(out) == 0 {
		out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	}
	return out
}
