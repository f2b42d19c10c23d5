package mirror

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// maxFrame is more than any frame that is accepted: beats fit into one frame of 1500 bytes.
const maxFrame = 1600

// linkPort is a Port on a real link, below IP: connection tracking calls an echo reply that nobody asked for invalid, and an ICMP
// socket behind a firewall would not see it.
type linkPort struct {
	out   *packet.Conn // protocol 0: it only sends
	in    *packet.Conn
	ended chan struct{}
}

// openPort opens the sockets on the link of that index, for one family. each is called from another goroutine, and the frame is valid during the
// call only. As long as the port is open, all traffic of the family passes a filter of a few instructions.
func openPort(index int, six bool, each func(frame []byte)) (Port, error) {
	p := &linkPort{ended: make(chan struct{})}
	proto, filter := unix.ETH_P_IP, filter4()
	if six {
		proto, filter = unix.ETH_P_IPV6, filter6()
	}
	raw, err := bpf.Assemble(filter)
	if err != nil {
		return nil, err
	}
	ifi := &net.Interface{Index: index}
	if p.out, err = packet.Listen(ifi, packet.Raw, 0, nil); err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	if p.in, err = packet.Listen(ifi, packet.Raw, proto, &packet.Config{Filter: raw}); err != nil {
		return nil, errors.Join(fmt.Errorf("open a packet socket: %w", err), p.out.Close())
	}
	go p.read(each)
	return p, nil
}

func (p *linkPort) read(each func([]byte)) {
	defer close(p.ended)
	buf := make([]byte, maxFrame)
	for {
		n, _, err := p.in.ReadFrom(buf)
		switch {
		case errors.Is(err, unix.ENETDOWN): // told once when the link goes down; frames come again when it is up
		case err != nil:
			return // closed, or of no use any more
		default:
			each(buf[:n])
		}
	}
}

// Ended is in Port.
func (p *linkPort) Ended() <-chan struct{} { return p.ended }

// Send puts a frame on the link without waiting for anybody: a full queue is a lost frame.
func (p *linkPort) Send(frame []byte) error {
	if err := p.out.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	_, err := p.out.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])})
	return err
}

// sendTime is how long a frame may wait for room in the socket's queue.
const sendTime = 2 * time.Millisecond

// Close closes the sockets and waits for the reader. It takes up to 20 ms each.
func (p *linkPort) Close() error {
	err := errors.Join(p.in.Close(), p.out.Close())
	<-p.ended
	return err
}
