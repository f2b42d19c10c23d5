package fence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A batch is a transaction of nftables in the bytes that the kernel reads: built once, sent a hundred times a second.
// Only its last message asks for an acknowledgement, so success is one answer and one read.
type batch struct {
	bytes  []byte
	last   uint32 // sequence number of the message that is acknowledged
	ticket int    // where a blank ticket is; 0: nowhere
}

// change is one message of a batch: it adds elements to a set, deletes them from it, or empties it.
type change struct {
	family  byte
	table   string
	set     string
	add     bool
	keys    [][]byte
	timeout time.Duration
}

// newBatch builds the transaction. The numbers of its messages are fixed: replies are always read to the end before the next one.
func newBatch(changes ...change) (batch, error) {
	b := appendMessage(nil, unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, 1, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
	seq := uint32(1)
	for i, c := range changes {
		attrs, err := c.attributes()
		if err != nil {
			return batch{}, err
		}
		typ, flags := uint16(unix.NFT_MSG_DELSETELEM), uint16(unix.NLM_F_REQUEST)
		if c.add {
			typ, flags = unix.NFT_MSG_NEWSETELEM, flags|unix.NLM_F_CREATE
		}
		if i == len(changes)-1 {
			flags |= unix.NLM_F_ACK
		}
		seq++
		b = appendMessage(b, unix.NFNL_SUBSYS_NFTABLES<<8|typ, flags, seq, c.family, 0, attrs)
	}
	ticket := max(bytes.Index(b, binary.BigEndian.AppendUint32(nil, blank)), 0)
	return batch{
		bytes: appendMessage(b, unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, seq+1, 0, unix.NFNL_SUBSYS_NFTABLES, nil),
		last:  seq, ticket: ticket,
	}, nil
}

func (c change) attributes() ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
	ae.String(unix.NFTA_SET_ELEM_LIST_TABLE, c.table)
	ae.String(unix.NFTA_SET_ELEM_LIST_SET, c.set)
	if len(c.keys) > 0 {
		ae.Nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(list *netlink.AttributeEncoder) error {
			for _, key := range c.keys {
				list.Nested(unix.NFTA_LIST_ELEM, func(elem *netlink.AttributeEncoder) error {
					elem.Nested(unix.NFTA_SET_ELEM_KEY, func(k *netlink.AttributeEncoder) error {
						k.Bytes(unix.NFTA_DATA_VALUE, key)
						return nil
					})
					if c.add && c.timeout > 0 {
						elem.Uint64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(c.timeout.Milliseconds()))
					}
					return nil
				})
			}
			return nil
		})
	}
	return ae.Encode()
}

// appendMessage appends one netlink message with its nfgenmsg header. Attributes are padded by their encoder.
func appendMessage(b []byte, typ, flags uint16, seq uint32, family byte, resource uint16, attrs []byte) []byte {
	const head = unix.NLMSG_HDRLEN + 4
	b = binary.NativeEndian.AppendUint32(b, uint32(head+len(attrs)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0) // to the kernel
	b = append(b, family, unix.NFNETLINK_V0)
	b = binary.BigEndian.AppendUint16(b, resource)
	return append(b, attrs...)
}

// A pipe is a netlink socket that sends prepared bytes and reads the kernel's verdict, without allocating. It is not safe for concurrent use.
type pipe struct {
	fd  int
	buf [8192]byte
}

func openPipe() (*pipe, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open a netfilter socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("bind a netfilter socket: %w", err)
	}
	// Without the text of the failed request in every error, an answer is 36 bytes.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	return &pipe{fd: fd}, nil
}

func (p *pipe) close() error { return unix.Close(p.fd) }

// do sends a batch and returns nil if all of it was carried out, else the first errno; nothing of it was carried out then.
func (p *pipe) do(b batch) error {
	if err := p.write(b.bytes); err != nil {
		return err
	}
	acked := false
	err := p.read(func(seq uint32, errno unix.Errno) error {
		if errno == 0 {
			acked = acked || seq == b.last
			return nil
		}
		return errno
	})
	if err != nil {
		return err
	}
	if !acked {
		return errors.New("the kernel did not acknowledge a change of the gate")
	}
	return nil
}

func (p *pipe) write(b []byte) error {
	for {
		// Raw, like the reading: it does not wait, and the thread that beats keeps its place in Go's scheduler.
		_, _, err := unix.RawSyscall(unix.SYS_WRITE, uintptr(p.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch err {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("write to netfilter: %w", err)
		}
	}
}

// read takes everything that the kernel has answered: netfilter works inside of write, so that all of it is there. It returns the first error of each.
func (p *pipe) read(each func(seq uint32, errno unix.Errno) error) error {
	var first error
	for {
		n, _, err := unix.RawSyscall(unix.SYS_READ, uintptr(p.fd), uintptr(unsafe.Pointer(&p.buf[0])), uintptr(len(p.buf)))
		switch err {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return first
		default:
			return fmt.Errorf("read from netfilter: %w", err)
		}
		for b := p.buf[:n]; len(b) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.NLMSG_HDRLEN || size > len(b) {
				break
			}
			errno := unix.Errno(0)
			if typ := binary.NativeEndian.Uint16(b[4:]); typ == unix.NLMSG_ERROR && size >= unix.NLMSG_HDRLEN+4 {
				errno = unix.Errno(-int32(binary.NativeEndian.Uint32(b[unix.NLMSG_HDRLEN:])))
			}
			if err := each(binary.NativeEndian.Uint32(b[8:]), errno); err != nil && first == nil {
				first = err
			}
			b = b[min((size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
		}
	}
}

// hasTable asks whether a table exists.
func (p *pipe) hasTable(family byte, name string) (bool, error) {
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.NFTA_TABLE_NAME, name)
	attrs, err := ae.Encode()
	if err != nil {
		return false, err
	}
	if err := p.write(appendMessage(nil, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETTABLE, unix.NLM_F_REQUEST, 1, family, 0, attrs)); err != nil {
		return false, err
	}
	found := false
	err = p.read(func(_ uint32, errno unix.Errno) error {
		if errno != 0 {
			return errno
		}
		found = true
		return nil
	})
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return found, err
}

func keysOf(addrs []netip.Addr) [][]byte {
	keys := make([][]byte, len(addrs))
	for i, a := range addrs {
		keys[i] = a.AsSlice()
	}
	return keys
}
