package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/internal/checksum"
)

// Observer asks the segment again and again "who has the VIP?", by ARP or by neighbour solicitation, and writes down who answered. One
// thread asks and listens, on a raw socket, past the neighbour cache of its kernel.
type Observer struct {
	host  *Host
	link  string
	mac   net.HardwareAddr
	own   netip.Addr // asks from it
	vip   netip.Addr
	every time.Duration
	quit  chan struct{}
	once  sync.Once
	done  chan struct{}

	mu        sync.Mutex // guards what follows
	known     []net.HardwareAddr
	questions []question
	announced []Announcement
	changed   chan struct{} // closed and replaced when a question gets another set of answers than the one before
}

// question is one question with the set of those who answered it: bit i is known[i].
type question struct {
	at  time.Time
	who uint64
}

// Announcement is a gratuitous ARP or an unsolicited neighbour advertisement for the VIP.
type Announcement struct {
	At  time.Time
	Who string // name of the host, or the MAC of a stranger
}

// Observe starts an observer in the host that asks for vip every so often; 5 ms is a good measure. It runs until Stop or the lab's end.
func (h *Host) Observe(vip netip.Addr, every time.Duration) (*Observer, error) {
	own := h.Addr()
	if vip.Is6() {
		own = h.Addr6()
	}
	return h.observe(&Observer{host: h, link: eth, mac: h.mac, own: own, vip: vip, every: every})
}

func (h *Host) observe(o *Observer) (*Observer, error) {
	if every := o.every; every < time.Millisecond || every > time.Second {
		return nil, fmt.Errorf("a question every %v: 1ms to 1s is allowed", every)
	}
	o.quit, o.done, o.changed = make(chan struct{}), make(chan struct{}), make(chan struct{})
	ready := make(chan error, 1)
	go func() {
		defer close(o.done)
		if err := h.Do(func() error { return o.run(ready) }); err != nil {
			select {
			case ready <- err:
			default:
			}
		}
	}()
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("start the observer in %s: %w", h.name, err)
	}
	h.lab.atEnd(o.Stop)
	return o, nil
}

// Stop ends the observer; what it has seen stays readable.
func (o *Observer) Stop() {
	o.once.Do(func() { close(o.quit) })
	<-o.done
}

// run is the observer's thread.
func (o *Observer) run(ready chan<- error) error {
	Hurry()
	proto := uint16(unix.ETH_P_ARP)
	ask, answer := o.askARP(), parseARP
	if o.vip.Is6() {
		proto, ask, answer = unix.ETH_P_IPV6, o.askND(), parseNA
	}
	ifi, err := net.InterfaceByName(o.link)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(proto), Ifindex: ifi.Index}); err != nil {
		return err
	}
	ready <- nil
	next := time.Now()
	for {
		select {
		case <-o.quit:
			return nil
		default:
		}
		o.listen(fd, answer) // answers that came while we were late belong to the question before
		o.ask(fd, ask)
		if next = next.Add(o.every); time.Until(next) < -o.every {
			next = time.Now() // do not make up for questions that were missed: they would measure nothing
		}
		for left := time.Until(next); left > 0; left = time.Until(next) {
			o.wait(fd, left)
			o.listen(fd, answer)
		}
	}
}

// wait returns when fd is readable or the time is over.
func (o *Observer) wait(fd int, left time.Duration) {
	ts := unix.NsecToTimespec(left.Nanoseconds())
	_, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, &ts, nil)
}

// ask closes the question before and puts a new one.
func (o *Observer) ask(fd int, frame []byte) {
	o.mu.Lock()
	if n := len(o.questions); n == 1 || n > 1 && o.questions[n-1].who != o.questions[n-2].who {
		close(o.changed)
		o.changed = make(chan struct{})
	}
	o.questions = append(o.questions, question{at: time.Now()})
	o.mu.Unlock()
	_, _ = unix.Write(fd, frame) // without a carrier nobody answers, which is the answer
}

// sighting is what a frame says about the VIP.
type sighting struct {
	mac        net.HardwareAddr
	announcing bool
}

// listen reads all frames that are there.
func (o *Observer) listen(fd int, answer func([]byte, netip.Addr) (sighting, bool)) {
	var b [2048]byte
	for {
		n, from, err := unix.Recvfrom(fd, b[:], 0)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
			continue // the link's errors are told once each
		}
		if err != nil {
			return
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		s, ok := answer(b[:n], o.vip)
		if !ok {
			continue
		}
		o.mu.Lock()
		if s.announcing {
			o.announced = append(o.announced, Announcement{At: time.Now(), Who: o.host.lab.NameOf(s.mac)})
		} else if n := len(o.questions); n > 0 {
			o.questions[n-1].who |= o.bit(s.mac)
		}
		o.mu.Unlock()
	}
}

// bit is the MAC's place in a set; 64 different answerers are more than any test has. The caller holds mu.
func (o *Observer) bit(mac net.HardwareAddr) uint64 {
	i := slices.IndexFunc(o.known, func(m net.HardwareAddr) bool { return slices.Equal(m, mac) })
	if i < 0 {
		i = len(o.known)
		o.known = append(o.known, slices.Clone(mac))
	}
	return 1 << min(i, 63)
}

// askARP is the question as a broadcast from the host's own address.
func (o *Observer) askARP() []byte {
	return arpFrame(broadcast(), o.mac, 1, o.mac, o.own, make([]byte, 6), o.vip)
}

func broadcast() net.HardwareAddr { return net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// arpFrame is an Ethernet frame with an ARP packet (RFC 826) for IPv4: op 1 asks, 2 answers.
func arpFrame(dst, src net.HardwareAddr, op uint16, sha net.HardwareAddr, spa netip.Addr, tha []byte, tpa netip.Addr) []byte {
	f := slices.Concat(dst, src, []byte{0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4})
	f = binary.BigEndian.AppendUint16(f, op)
	return slices.Concat(f, sha, spa.AsSlice(), tha, tpa.AsSlice())
}

// parseARP finds out whether a frame answers for the VIP, or announces it.
func parseARP(f []byte, vip netip.Addr) (sighting, bool) {
	if len(f) < 42 || binary.BigEndian.Uint16(f[12:]) != unix.ETH_P_ARP {
		return sighting{}, false
	}
	op := binary.BigEndian.Uint16(f[20:])
	spa, tpa := netip.AddrFrom4([4]byte(f[28:32])), netip.AddrFrom4([4]byte(f[38:42]))
	if spa != vip {
		return sighting{}, false
	}
	s := sighting{mac: net.HardwareAddr(f[22:28]), announcing: tpa == vip}
	return s, s.announcing || op == 2
}

// askND is the question as a neighbour solicitation (RFC 4861, 4.3) to the VIP's solicited-node group.
func (o *Observer) askND() []byte {
	target := o.vip.As16()
	group := [16]byte{0xff, 0x02, 10: 0, 11: 0x01, 12: 0xff, 13: target[13], 14: target[14], 15: target[15]}
	icmp := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, target[:]...)
	icmp = append(append(icmp, 1, 1), o.mac...) // option: source link-layer address
	src := o.own.As16()
	binary.BigEndian.PutUint16(icmp[2:], checksum6(src, group, icmp))
	f := slices.Concat(net.HardwareAddr{0x33, 0x33, group[12], group[13], group[14], group[15]}, o.mac, []byte{0x86, 0xdd, 0x60, 0, 0, 0})
	f = binary.BigEndian.AppendUint16(f, uint16(len(icmp)))
	f = append(f, unix.IPPROTO_ICMPV6, 255)
	return slices.Concat(f, src[:], group[:], icmp)
}

// parseNA finds out whether a frame is a neighbour advertisement (RFC 4861, 4.4) for the VIP: solicited answers, unsolicited announces.
func parseNA(f []byte, vip netip.Addr) (sighting, bool) {
	if len(f) < 78 || binary.BigEndian.Uint16(f[12:]) != unix.ETH_P_IPV6 || f[20] != unix.IPPROTO_ICMPV6 || f[54] != 136 {
		return sighting{}, false
	}
	if netip.AddrFrom16([16]byte(f[62:78])) != vip {
		return sighting{}, false
	}
	s := sighting{mac: net.HardwareAddr(f[6:12]), announcing: f[58]&0x40 == 0}
	if len(f) >= 86 && f[78] == 2 && f[79] == 1 { // option: target link-layer address
		s.mac = net.HardwareAddr(f[80:86])
	}
	return s, true
}

// checksum6 is the Internet checksum over the pseudo-header and an ICMPv6 message (RFC 8200, 8.1).
func checksum6(src, dst [16]byte, icmp []byte) uint16 {
	return checksum.Of(checksum.Add(checksum.Add(uint32(len(icmp))+unix.IPPROTO_ICMPV6, src[:]), dst[:]), icmp)
}

func htons(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }

// names lists a set. The caller holds mu.
func (o *Observer) names(who uint64) []string {
	var list []string
	for ; who != 0; who &= who - 1 {
		list = append(list, o.host.lab.NameOf(o.known[bits.TrailingZeros64(who)]))
	}
	slices.Sort(list)
	return list
}
