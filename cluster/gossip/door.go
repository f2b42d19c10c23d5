package gossip

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// Bounds of the streams that come in. memberlist reads up to 20 MiB of each into memory before it knows who sent it, and gives each a second.
const (
	// maxStream is the most that is read from one: the state of 64 members with their metadata is a tenth of it.
	maxStream = 512 << 10
	// maxFrom is how many there may be at once from one address. A peer has one, seldom two.
	maxFrom = 8
	// maxStrangers is how many there may be at once from all addresses that are not in Config.Peers.
	maxStrangers = 32
)

// door counts the streams that are in.
type door struct {
	peers map[netip.Addr]bool // strangers keep none of them out

	mu        sync.Mutex // guards the rest
	from      map[netip.Addr]int
	strangers int
}

func newDoor(peers []netip.AddrPort) *door {
	d := &door{peers: map[netip.Addr]bool{}, from: map[netip.Addr]int{}}
	for _, p := range peers {
		d.peers[p.Addr().Unmap()] = true
	}
	return d
}

// admit lets a stream in, or returns nil: it is one too many.
func (d *door) admit(c net.Conn) net.Conn {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return nil
	}
	a := ap.Addr().Unmap()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.from[a] >= maxFrom || !d.peers[a] && d.strangers >= maxStrangers {
		return nil
	}
	d.from[a]++
	if !d.peers[a] {
		d.strangers++
	}
	return &visitor{Conn: c, left: maxStream, leave: sync.OnceFunc(func() { d.leave(a) })}
}

func (d *door) leave(a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.from[a]--; d.from[a] == 0 {
		delete(d.from, a)
	}
	if !d.peers[a] {
		d.strangers--
	}
}

// visitor is a stream that came in.
type visitor struct {
	net.Conn
	left  int // bytes that it may still send
	leave func()
}

var errTalkative = errors.New("the stream is longer than any of a member's")

// Read reads no more than a member would send.
func (v *visitor) Read(b []byte) (int, error) {
	if v.left <= 0 {
		return 0, errTalkative
	}
	n, err := v.Conn.Read(b[:min(len(b), v.left)])
	v.left -= n
	return n, err
}

// Close closes the connection.
func (v *visitor) Close() error {
	v.leave()
	return v.Conn.Close()
}
