package announce

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Port is the link as seen below IP: frames go out as they are and are not asked by netfilter's output hooks; ARP and neighbour
// advertisements come in behind its ingress hook, so that a host that drops everything there is deaf here, too.
// Its methods may be called concurrently, Receive by one goroutine for each kind.
type Port struct {
	index int
	arp   *packet.Conn
	nd    *packet.Conn // nil without IPv6
	out   *packet.Conn // protocol 0: it only sends
	knock chan [2]*packet.Conn
}

// Listen opens the sockets on the link of that index. IPv6 traffic is looked at only if six is true. It must be called in the link's network namespace.
func Listen(index int, six bool) (*Port, error) {
	ifi := &net.Interface{Index: index}
	p := &Port{index: index, knock: make(chan [2]*packet.Conn, 1)}
	var knocks [2]*packet.Conn
	var errs [5]error
	p.arp, errs[0] = packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, nil)
	p.out, errs[1] = packet.Listen(ifi, packet.Raw, 0, nil)
	knocks[0], errs[2] = quiet(ifi, tcpFilter4())
	if six {
		knocks[1], errs[3] = quiet(ifi, tcpFilter6())
		p.nd, errs[4] = filtered(ifi, unix.ETH_P_IPV6, advertisements())
	}
	p.knock <- knocks
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(fmt.Errorf("open packet sockets: %w", err), p.Close())
	}
	return p, nil
}

// quiet opens a socket that receives nothing until it is bound to a protocol, and costs the traffic nothing until then.
func quiet(ifi *net.Interface, filter []bpf.Instruction) (*packet.Conn, error) {
	return filtered(ifi, 0, filter)
}

func filtered(ifi *net.Interface, proto int, filter []bpf.Instruction) (*packet.Conn, error) {
	raw, err := bpf.Assemble(filter)
	if err != nil {
		return nil, err
	}
	return packet.Listen(ifi, packet.Raw, proto, &packet.Config{Filter: raw})
}

const accept = 1 << 16 // bytes of the frame

// advertisements lets ICMPv6 neighbour advertisements pass.
func advertisements() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: etherSize + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: etherSize + ip6Size, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: ndAdvertise, SkipTrue: 1},
		bpf.RetConstant{Val: accept},
		bpf.RetConstant{Val: 0},
	}
}

// tcpFilter4 lets TCP segments with SYN or RST pass: answers to a knock, and few others.
func tcpFilter4() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: etherSize + 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 4},
		bpf.LoadMemShift{Off: etherSize},
		bpf.LoadIndirect{Off: etherSize + 13, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: flagSYN | flagRST, SkipTrue: 1},
		bpf.RetConstant{Val: accept},
		bpf.RetConstant{Val: 0},
	}
}

func tcpFilter6() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: etherSize + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 3},
		bpf.LoadAbsolute{Off: etherSize + ip6Size + 13, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: flagSYN | flagRST, SkipTrue: 1},
		bpf.RetConstant{Val: accept},
		bpf.RetConstant{Val: 0},
	}
}

// Send puts a frame on the link. It does not wait for anybody; with no carrier the frame vanishes without an error.
func (p *Port) Send(frame []byte) error {
	if len(frame) < etherSize {
		return errors.New("send: the frame is too short")
	}
	_, err := p.out.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])})
	return err
}

// maxFrame is more than any ARP or neighbour discovery message that is looked at; longer ones are cut.
const maxFrame = 1600

// Receive hands every frame of ARP and every neighbour advertisement that comes in to each, until ctx is done or a socket fails.
// each is called from two goroutines if IPv6 is in use; the frame is valid during the call only.
func (p *Port) Receive(ctx context.Context, each func(frame []byte)) error {
	conns := []*packet.Conn{p.arp}
	if p.nd != nil {
		conns = append(conns, p.nd)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			_ = c.SetReadDeadline(time.Unix(1, 0))
		}
	})
	defer stop()
	ended := make(chan error, len(conns)) // one for each reader, so that none blocks
	for _, c := range conns {
		go readFrames(ctx, c, each, ended)
	}
	var first error
	for range conns {
		if err := <-ended; first == nil {
			first = err
		}
		cancel() // one socket that fails takes the other with it
	}
	return first
}

func readFrames(ctx context.Context, c *packet.Conn, each func([]byte), ended chan<- error) {
	buf := make([]byte, maxFrame)
	for {
		n, _, err := c.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			ended <- nil
			return
		case errors.Is(err, unix.ENETDOWN): // told once when the link goes down; frames come again when it is up
		case err != nil:
			ended <- err
			return
		default:
			each(buf[:n])
		}
	}
}

// again is the time after which a knock is repeated, for a frame that was lost.
const again = 10 * time.Millisecond

// Knock sends a SYN from the address mine to a listener, in a frame to one MAC, and waits for the answer until ctx is done: NoAnswer, and no error, then.
// The address of the listener may be anybody's. Knocks wait for one another.
func (p *Port) Knock(ctx context.Context, dst, src MAC, mine netip.Addr, to netip.AddrPort) (Answer, error) {
	var conns [2]*packet.Conn
	select {
	case <-ctx.Done():
		return NoAnswer, nil
	case conns = <-p.knock:
	}
	defer func() { p.knock <- conns }()
	c, proto := conns[0], uint16(unix.ETH_P_IP)
	if to.Addr().Is6() {
		c, proto = conns[1], unix.ETH_P_IPV6
	}
	if c == nil {
		return NoAnswer, fmt.Errorf("knock at %s: no IPv6 virtual address is configured", to)
	}
	// Binding a socket that was bound to nothing takes no time; a second bind changes nothing.
	if err := p.bind(c, proto); err != nil {
		return NoAnswer, fmt.Errorf("knock at %s: %w", to, err)
	}
	k := Knock{
		Mine:   netip.AddrPortFrom(mine, uint16(20000+rand.IntN(12000))), // below Linux' ephemeral ports: not a connection of ours
		Theirs: to, Seq: rand.Uint32(),
	}
	return p.listen(ctx, c, k, k.Frame(dst, src))
}

// Rest unbinds the sockets of Knock, so that traffic does not pass their filters. It takes up to 20 ms (the kernel waits for its readers).
func (p *Port) Rest() {
	select {
	case conns := <-p.knock:
		for _, c := range conns {
			if c != nil {
				_ = p.bind(c, 0) // at worst it goes on listening
			}
		}
		p.knock <- conns
	default: // in use
	}
}

func (p *Port) bind(c *packet.Conn, proto uint16) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = rc.Control(func(fd uintptr) {
		failed = unix.Bind(int(fd), &unix.SockaddrLinklayer{Protocol: proto<<8 | proto>>8, Ifindex: p.index})
	})
	return errors.Join(err, failed)
}

func (p *Port) listen(ctx context.Context, c *packet.Conn, k Knock, syn []byte) (Answer, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, maxFrame)
	for ctx.Err() == nil {
		if err := p.Send(syn); err != nil {
			return NoAnswer, fmt.Errorf("knock at %s: %w", k.Theirs, err)
		}
		if err := c.SetReadDeadline(time.Now().Add(again)); err != nil {
			return NoAnswer, err
		}
		for ctx.Err() == nil {
			n, _, err := c.ReadFrom(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return NoAnswer, fmt.Errorf("knock at %s: %w", k.Theirs, err)
			}
			if a := k.Answer(buf[:n]); a != NoAnswer {
				return a, nil
			}
		}
	}
	return NoAnswer, nil
}

// Close closes the sockets. It takes up to 20 ms each. Nothing may be under way.
func (p *Port) Close() error {
	var errs []error
	knocks := <-p.knock
	for _, c := range []*packet.Conn{p.arp, p.nd, p.out, knocks[0], knocks[1]} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	p.knock <- [2]*packet.Conn{}
	return errors.Join(errs...)
}
