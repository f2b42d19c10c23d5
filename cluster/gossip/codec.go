package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
)

// codecVersion is the first byte of encoded metadata and memberlist's delegate protocol. It rises only when an older
// node could not make sense of the result: new fields are appended, and an older node skips what follows the fields it knows.
const codecVersion = 1

const (
	maxVersion = 32 // bytes of Meta.Version
	maxMACs    = 8
	maxMAC     = 20 // bytes: InfiniBand's is the longest hardware address

	fixedLen = 1 + 8 + 8 + 8 + 1 + 1 + 1 // codec version, boot, term, config hash, flags, priority, protocol
)

const (
	flagHolds = 1 << iota
	flagFit
)

var (
	errMetaShort   = errors.New("metadata ends too early")
	errMetaVersion = errors.New("metadata is of another version")
)

// encode returns at most fixedLen + 33 + 1 + 8*21 = 230 bytes: what is too long is cut, what has an impossible length left out.
func (m Meta) encode() []byte {
	m = m.bounded()
	b := make([]byte, 0, 96)
	b = append(b, codecVersion)
	b = binary.BigEndian.AppendUint64(b, m.Boot)
	b = binary.BigEndian.AppendUint64(b, m.Term)
	b = binary.BigEndian.AppendUint64(b, m.ConfigHash)
	var flags byte
	if m.Holds {
		flags |= flagHolds
	}
	if m.Fit {
		flags |= flagFit
	}
	b = append(b, flags, m.Priority, m.Protocol)
	b = append(b, byte(len(m.Version)))
	b = append(b, m.Version...)
	b = append(b, byte(len(m.MACs)))
	for _, mac := range m.MACs {
		b = append(b, byte(len(mac)))
		b = append(b, mac...)
	}
	return b
}

// bounded returns a copy that encodes without loss.
func (m Meta) bounded() Meta {
	m.Version = printable(m.Version)
	if len(m.Version) > maxVersion {
		m.Version = m.Version[:maxVersion]
	}
	var macs []net.HardwareAddr
	for _, mac := range m.MACs {
		if len(macs) < maxMACs && len(mac) > 0 && len(mac) <= maxMAC {
			macs = append(macs, bytes.Clone(mac))
		}
	}
	m.MACs = macs
	return m
}

// decodeMeta reads what encode wrote, in this release or a later one. The result shares no memory with b.
func decodeMeta(b []byte) (Meta, error) {
	if len(b) == 0 {
		return Meta{}, errMetaShort
	}
	if b[0] != codecVersion {
		return Meta{}, fmt.Errorf("%w: %d, this node reads %d", errMetaVersion, b[0], codecVersion)
	}
	if len(b) < fixedLen {
		return Meta{}, errMetaShort
	}
	m := Meta{
		Boot:       binary.BigEndian.Uint64(b[1:]),
		Term:       binary.BigEndian.Uint64(b[9:]),
		ConfigHash: binary.BigEndian.Uint64(b[17:]),
		Holds:      b[25]&flagHolds != 0,
		Fit:        b[25]&flagFit != 0,
		Priority:   b[26],
		Protocol:   b[27],
	}
	version, b, err := field(b[fixedLen:], maxVersion)
	if err != nil {
		return Meta{}, fmt.Errorf("version: %w", err)
	}
	m.Version = printable(string(version))
	if len(b) == 0 {
		return Meta{}, errMetaShort
	}
	n := int(b[0])
	if n > maxMACs {
		return Meta{}, fmt.Errorf("metadata has %d hardware addresses, at most %d are allowed", n, maxMACs)
	}
	b = b[1:]
	for range n {
		var mac []byte
		if mac, b, err = field(b, maxMAC); err != nil {
			return Meta{}, fmt.Errorf("hardware address: %w", err)
		}
		if len(mac) == 0 {
			return Meta{}, errors.New("metadata has an empty hardware address")
		}
		m.MACs = append(m.MACs, bytes.Clone(mac))
	}
	return m, nil // what follows was written by a later release
}

// field cuts one length-prefixed field off the front of b.
func field(b []byte, limit int) (f, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errMetaShort
	}
	n := int(b[0])
	if n > limit {
		return nil, nil, fmt.Errorf("%d bytes long, at most %d are allowed", n, limit)
	}
	if len(b) < 1+n {
		return nil, nil, errMetaShort
	}
	return b[1 : 1+n], b[1+n:], nil
}

// printable replaces what does not belong on one line of a log, byte by byte, so that the length stays.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			b[i] = '?'
		}
	}
	return string(b)
}

func (m Meta) equal(o Meta) bool { return bytes.Equal(m.encode(), o.encode()) }
