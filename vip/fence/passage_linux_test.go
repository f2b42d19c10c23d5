package fence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// crossing is a link whose other end belongs to the test.
type crossing struct {
	t     *testing.T
	gate  *Gate
	hop   Hop
	conn  *packet.Conn
	peer  net.HardwareAddr // of the test's end
	other net.HardwareAddr // of a node that nothing is passed on from
}

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	inNamespace(t)
	x := &crossing{t: t, gate: newGate(t, time.Second), other: net.HardwareAddr{2, 0, 0, 0, 0, 8}}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "here"
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "there"}))
	var links []netlink.Link
	for _, name := range []string{"here", "there"} {
		l, err := netlink.LinkByName(name)
		must(t, err)
		must(t, netlink.LinkSetUp(l))
		links = append(links, l)
	}
	x.peer = links[1].Attrs().HardwareAddr
	x.hop = Hop{
		Device: "here", Index: links[0].Attrs().Index, VIPs: vips(), Own: links[0].Attrs().HardwareAddr,
		To: net.HardwareAddr{2, 0, 0, 0, 0, 9}, Excepted: []net.HardwareAddr{x.other, {2, 0, 0, 0, 0, 9}},
	}
	conn, err := packet.Listen(&net.Interface{Index: links[1].Attrs().Index, Name: "there"}, packet.Raw, unix.ETH_P_ALL, nil)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	x.conn = conn
	must(t, x.gate.Passage([]Hop{x.hop}))
	return x
}

// segment is a frame with a TCP segment from a port of a client to a virtual address.
func (x *crossing) segment(from net.HardwareAddr, vip netip.Addr, port uint16, flags byte) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, port)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12], tcp[13] = 5<<4, flags
	var ip []byte
	typ := uint16(unix.ETH_P_IP)
	if vip.Is4() {
		ip = slices.Concat([]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, unix.IPPROTO_TCP, 0, 0}, []byte{10, 9, 0, 77}, vip.AsSlice())
		var sum uint32
		for i := 0; i < len(ip); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(ip[i:]))
		}
		binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	} else {
		typ = unix.ETH_P_IPV6
		client := netip.MustParseAddr("2001:db8::77")
		ip = slices.Concat([]byte{0x60, 0, 0, 0, 0, 20, unix.IPPROTO_TCP, 64}, client.AsSlice(), vip.AsSlice())
	}
	return slices.Concat(x.hop.Own, from, binary.BigEndian.AppendUint16(nil, typ), ip, tcp)
}

func (x *crossing) send(frame []byte) {
	x.t.Helper()
	_, err := x.conn.WriteTo(frame, &packet.Addr{HardwareAddr: x.hop.Own})
	must(x.t, err)
}

// next is the next frame that came back for the old leader.
func (x *crossing) next() []byte {
	x.t.Helper()
	buf := make([]byte, 2048)
	must(x.t, x.conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	for {
		n, _, err := x.conn.ReadFrom(buf)
		must(x.t, err)
		if n > 14 && bytes.Equal(buf[:6], x.hop.To) {
			return bytes.Clone(buf[:n])
		}
	}
}

// onlyLast sends frames and wants the last one alone to be passed on, as it is but for its Ethernet addresses.
func (x *crossing) onlyLast(what string, frames ...[]byte) {
	x.t.Helper()
	for _, f := range frames {
		x.send(f)
	}
	want := bytes.Clone(frames[len(frames)-1])
	copy(want, x.hop.To)
	copy(want[6:], x.hop.Own)
	if got := x.next(); !bytes.Equal(got, want) {
		x.t.Errorf("%s:\n% x came first, want\n% x", what, got, want)
	}
}

func TestConnectionsThatBeganElsewhereArePassedOn(t *testing.T) {
	const syn, ack, synack = 0x02, 0x10, 0x12
	for _, vip := range vips() {
		t.Run(vip.String(), func(t *testing.T) {
			x := newCrossing(t)
			must(t, x.gate.PassOn([]Hop{x.hop}, time.Minute))
			last := x.segment(x.peer, vip, 9999, ack)
			x.onlyLast("an unknown connection", last)
			x.onlyLast("a new one stays here", x.segment(x.peer, vip, 1, syn), x.segment(x.peer, vip, 1, ack), last)
			x.onlyLast("only a SYN begins one", x.segment(x.peer, vip, 2, synack))
			x.onlyLast("and it is not known after that", x.segment(x.peer, vip, 2, ack))
			x.onlyLast("another node may pass on itself", x.segment(x.other, vip, 3, ack), x.segment(x.hop.To, vip, 3, ack), last)
			x.onlyLast("another address", x.segment(x.peer, vip.Next(), 4, ack), last)
		})
	}
}

func TestPassageEnds(t *testing.T) {
	x := newCrossing(t)
	must(t, x.gate.PassNoMore())
	there := func() bool {
		ok, err := x.gate.pipe.hasTable(unix.NFPROTO_NETDEV, x.gate.table)
		must(t, err)
		return ok
	}
	must(t, x.gate.Remove())
	if there() {
		t.Error("the passage is there after Remove")
	}
	must(t, x.gate.PassNoMore())
	if err := x.gate.PassOn([]Hop{x.hop}, time.Minute); !errors.Is(err, ErrGone) {
		t.Errorf("PassOn without rules = %v, want %v", err, ErrGone)
	}
	must(t, x.gate.Passage([]Hop{x.hop}))
	must(t, x.gate.PassOn([]Hop{x.hop}, time.Minute))
	must(t, x.gate.PassNoMore())
	ended, again := x.segment(x.peer, vips()[0], 3, 0x10), x.segment(x.peer, vips()[0], 4, 0x10)
	x.send(ended)
	must(t, x.gate.PassOn([]Hop{x.hop}, time.Minute))
	x.onlyLast("PassNoMore", again)
	must(t, x.gate.PassOn([]Hop{x.hop}, time.Minute)) // what is there is replaced
	// A daemon that dies removes nothing.
	must(t, x.gate.PassOn([]Hop{x.hop}, 50*time.Millisecond))
	time.Sleep(100 * time.Millisecond) // the kernel's timers are real
	lapsed, last := x.segment(x.peer, vips()[0], 1, 0x10), x.segment(x.peer, vips()[0], 2, 0x10)
	x.send(lapsed)
	must(t, x.gate.PassOn([]Hop{x.hop}, time.Minute))
	x.onlyLast("the time has run out", last)
}
