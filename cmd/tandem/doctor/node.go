package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
)

// The checks of this node.

func file(f Facts) []Finding {
	var all []Finding
	for _, w := range f.Warnings {
		v := Note
		if w.Host {
			v = Wrong
		}
		all = append(all, Finding{v, "configuration", w.String(), "see tandem check --host"})
	}
	if all == nil {
		return one(OK, "configuration", f.File+" fits this host", "")
	}
	return all
}

func daemon(f Facts) []Finding {
	switch {
	case errors.Is(f.DaemonErr, api.ErrNotRunning):
		return one(Wrong, "daemon", "it is not running, so that what only it knows (beats, votes, its rights) was not looked at",
			"systemctl start tandem, then tandem doctor again")
	case errors.Is(f.DaemonErr, fs.ErrPermission):
		return one(Wrong, "daemon", f.DaemonErr.Error(), "run tandem doctor as root")
	case f.DaemonErr != nil:
		return one(Wrong, "daemon", f.DaemonErr.Error(), "journalctl -u tandem")
	}
	s := f.Daemon
	all := one(OK, "daemon", fmt.Sprintf("runs as %s, %s", s.State, s.Reason), "")
	if s.Unfitness != "" {
		all = append(all, Finding{Wrong, "daemon", "it is less fit to lead: " + s.Unfitness, "tandem status names what is tracked, and the backends that are down"})
	}
	for _, w := range s.Warnings {
		all = append(all, Finding{Wrong, "daemon", w, "tandem status, tandem explain"})
	}
	for _, l := range s.Listeners {
		if !l.Open {
			all = append(all, Finding{Wrong, "listener " + l.Name, fmt.Sprintf("%s is not open: %s", l.Bind, l.Error), "end who has that port, or take another one"})
		}
	}
	return all
}

func privileges(f Facts) []Finding {
	switch {
	case f.Config.Cluster.Witness:
		return one(OK, "capabilities", "a witness needs none", "")
	case f.Caps != nil:
		return one(Wrong, "capabilities", f.Caps.Error(), "start it by tandem.service, which gives CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE")
	}
	return one(OK, "capabilities", "NET_ADMIN and NET_RAW are there", "")
}

func gate(f Facts) []Finding {
	const do = "load nf_tables (modprobe nf_tables; in a container: on its host), so that the kernel silences a node that hangs"
	switch {
	case f.Config.Cluster.Witness:
		return nil
	case f.Daemon != nil && f.Daemon.Gate == "nftables":
		return one(OK, "nftables", "the gate is in place", "")
	case f.Daemon != nil:
		return one(Wrong, "nftables", fmt.Sprintf("no gate (%s): a node that hangs answers for %s more instead of %s", f.Daemon.Gate, f.Config.VIP.Lease, f.Config.Cluster.Failover), do)
	case errors.Is(f.Nftables, fs.ErrPermission):
		return one(Note, "nftables", "not looked at: "+f.Nftables.Error(), "run tandem doctor as root")
	case f.Nftables != nil:
		return one(Wrong, "nftables", f.Nftables.Error(), do)
	}
	return one(OK, "nftables", "the kernel has it", "")
}

// fewFiles is less than 5,000 sessions, of six descriptors at most, and what the node itself needs.
const fewFiles = 32 << 10

func files(f Facts) []Finding {
	switch {
	case f.Files == 0 || f.Config.Cluster.Witness:
		return nil
	case f.Files < fewFiles:
		return one(Note, "descriptors", fmt.Sprintf("%d: a session needs up to six, so that some %d clients are served at one time", f.Files, f.Files/6),
			"LimitNOFILE=1048576 in tandem.service")
	}
	return one(OK, "descriptors", fmt.Sprint(f.Files), "")
}

func clock(f Facts) []Finding {
	if f.Clock != nil {
		return one(Note, "clock", f.Clock.Error()+": failovers do not need the time of day, but the logs of two nodes cannot be laid beside each other",
			"run chrony or systemd-timesyncd on every node")
	}
	return one(OK, "clock", "synchronised", "")
}

func list(words []string) string { return strings.Join(words, ", ") }
