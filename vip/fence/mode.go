package fence

import (
	"errors"
	"hash/fnv"
	"strconv"
	"strings"
)

// Mode says what passes the gate for the virtual addresses.
type Mode uint8

const (
	// Shut: nothing. No ARP, no neighbour discovery, no IP, in neither direction, on no interface.
	Shut Mode = iota
	// Quiet: IP, but neither ARP nor neighbour discovery. Who already knows the way is served, nobody learns it.
	Quiet
	// Open: everything.
	Open
)

func (m Mode) String() string {
	switch m {
	case Shut:
		return "shut"
	case Quiet:
		return "quiet"
	case Open:
		return "open"
	}
	return "mode(" + strconv.Itoa(int(m)) + ")"
}

var (
	// ErrLapsed means that the lease had run out before the call: others may hold by now, and only a new claim may open the gate again.
	ErrLapsed = errors.New("the lease of the gate has run out")
	// ErrGone means that somebody else removed the gate's tables, as `nft flush ruleset` does.
	ErrGone = errors.New("the tables of the gate are gone")
)

// prefix begins the name of every gate's tables.
const prefix = "tandem_"

// maxTable leaves room below the kernel's limit of 255 bytes, and keeps `nft list ruleset` readable.
const maxTable = 48

// Table is the name of the tables of a node: one of the family inet, one of the family arp.
// A name that had to be changed to be one of nftables' gets a hash, so that no two nodes of one host share a table.
func Table(node string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(node) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			b.WriteRune(r)
		} else {
			b.WriteByte('_')
		}
	}
	s := b.String()
	if s != node || len(s) > maxTable {
		h := fnv.New32a()
		_, _ = h.Write([]byte(node)) // never fails
		s = s[:min(len(s), maxTable-9)] + "_" + strconv.FormatUint(uint64(h.Sum32()), 16)
	}
	return prefix + s
}
