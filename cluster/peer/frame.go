package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tandem-lb/tandem/cluster/peer/seal"
)

// A frame, big endian:
//
//	 0  2  length of what follows
//	 2  1  kind
//	 3  8  sequence number: 1, 2, 3 ...
//	11  8  term
//	19     data
//	       seal (16)
const (
	frameBody = 17
	frameMin  = frameBody + seal.Size
	frameMax  = frameMin + MaxData
)

// drop is a Kind of the streams' own: this stream is given up, its process lives on. So the end that follows is not taken for a crash.
const drop Kind = 255

var errFrame = errors.New("a frame that is damaged or forged")

// framer turns messages into frames and back. Each direction is for one goroutine at a time.
type framer struct {
	in, out       *seal.MAC
	inSeq, outSeq uint64
	rbuf          [2 + frameMax]byte
	wbuf          [2 + frameMax]byte
}

// frame makes the next frame; it is valid until the next call. m.Data fits.
func (f *framer) frame(m Message) []byte {
	f.outSeq++
	b := binary.BigEndian.AppendUint16(f.wbuf[:0], uint16(frameMin+len(m.Data)))
	b = append(b, byte(m.Kind))
	b = binary.BigEndian.AppendUint64(b, f.outSeq)
	b = binary.BigEndian.AppendUint64(b, m.Term)
	b = append(b, m.Data...)
	return f.out.Append(b, 0)
}

// read blocks for the next frame. Its errors are io.EOF between frames, errFrame, or those of r.
func (f *framer) read(r io.Reader) (Message, error) {
	b := f.rbuf[:]
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return Message{}, err
	}
	n := int(binary.BigEndian.Uint16(b))
	if n < frameMin || n > frameMax {
		return Message{}, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	b = b[:2+n]
	if _, err := io.ReadFull(r, b[2:]); err != nil {
		return Message{}, err
	}
	f.inSeq++
	if !f.in.Valid(b) || binary.BigEndian.Uint64(b[3:]) != f.inSeq {
		return Message{}, errFrame
	}
	m := Message{Kind: Kind(b[2]), Term: binary.BigEndian.Uint64(b[11:])}
	if data := b[2+frameBody : len(b)-seal.Size]; len(data) > 0 {
		m.Data = bytes.Clone(data)
	}
	return m, nil
}
