package http1

import "bytes"

const (
	// maxChunkLine bounds the line in front of a chunk: 16 digits and short extensions.
	maxChunkLine = 256
	// maxChunkExt bounds the extensions of a whole body, in bytes: with one byte in each chunk they
	// could otherwise cost hundreds of times what they carry (CVE-2023-39326).
	maxChunkExt = 4096
	// maxTrailer bounds the trailer section in bytes.
	maxTrailer = 8 << 10
)

type chunkState uint8

const (
	atSize chunkState = iota
	inData
	atDataEnd
	atTrailer
	atEnd
)

// Chunks takes a chunked body apart. The zero value is at the beginning of a body.
type Chunks struct {
	state     chunkState
	remaining uint64 // bytes of this chunk that are still to come
	ext       int    // bytes of extensions so far
	trailer   Header
}

// Next reads on in b, the bytes that have come and were not consumed. It returns the data found, which is part
// of b, and how many bytes of b it consumed. No data, unless Done, means that it wants more bytes behind those it left;
// a buffer of 8 KiB is always enough for it. The error is an *Error.
func (c *Chunks) Next(b []byte) (data []byte, n int, err error) {
	for err == nil {
		var k int
		switch c.state {
		case atSize:
			k, err = c.size(b[n:])
		case inData:
			k = len(b) - n
			if uint64(k) >= c.remaining {
				k = int(c.remaining)
				c.state = atDataEnd
			}
			c.remaining -= uint64(k)
			return b[n : n+k], n + k, nil
		case atDataEnd:
			k, err = c.dataEnd(b[n:])
		case atTrailer:
			k, err = c.trailers(b[n:])
		case atEnd:
			return nil, n, nil
		}
		if k == 0 {
			return nil, n, err
		}
		n += k
	}
	return nil, n, err
}

// Done reports whether the body has ended, trailer section included.
func (c *Chunks) Done() bool { return c.state == atEnd }

// Remaining returns how many bytes of the current chunk's data are still to come.
func (c *Chunks) Remaining() uint64 {
	if c.state != inData {
		return 0
	}
	return c.remaining
}

// Skip tells that n bytes of the current chunk's data were taken elsewhere; n is at most Remaining.
func (c *Chunks) Skip(n uint64) {
	if c.remaining -= n; c.remaining == 0 {
		c.state = atDataEnd
	}
}

// AppendTrailer appends the trailer fields that may be passed on, as lines. It is of use once Done, and as long as the
// bytes given to Next are unchanged. Whatever says how long a message is, where it goes or who sent it may
// not stand in a trailer (RFC 9110 6.5.1), nor may what belongs to one connection.
func (c *Chunks) AppendTrailer(dst []byte) []byte {
	return c.trailer.AppendFields(dst, 1<<Other)
}

func (c *Chunks) size(b []byte) (int, error) {
	i := bytes.IndexByte(b[:min(len(b), maxChunkLine)], '\n')
	if i < 0 {
		if len(b) >= maxChunkLine {
			return 0, ErrChunkExt
		}
		return 0, c.early(b)
	}
	if i == 0 || b[i-1] != '\r' {
		return 0, ErrBareLF
	}
	l := b[:i-1]
	size, digits := uint64(0), 0
	for digits < len(l) && hexDigit(l[digits]) {
		size = size<<4 | uint64(unhex(l[digits]))
		digits++
	}
	// 15 digits leave room for every sum of sizes that anybody makes in an int64.
	if digits == 0 || digits > 15 {
		return 0, ErrChunkSize
	}
	if ext := l[digits:]; len(ext) > 0 {
		if c.ext += len(ext); ext[0] != ';' {
			return 0, ErrChunkSize
		}
		if c.ext > maxChunkExt || !plain(ext) {
			return 0, ErrChunkExt
		}
	}
	c.remaining, c.state = size, inData
	if size == 0 {
		c.state = atTrailer
	}
	return i + 1, nil
}

// early finds a size that cannot become right, so that nobody waits for the rest of its line.
func (c *Chunks) early(b []byte) error {
	if len(b) > 0 && !hexDigit(b[0]) {
		return ErrChunkSize
	}
	return nil
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

func (c *Chunks) dataEnd(b []byte) (int, error) {
	if len(b) > 0 && b[0] != '\r' || len(b) > 1 && b[1] != '\n' {
		return 0, ErrChunkEnd
	}
	if len(b) < 2 {
		return 0, nil
	}
	c.state = atSize
	return 2, nil
}

func (c *Chunks) trailers(b []byte) (int, error) {
	end, err := HeaderEnd(b, 0)
	if err != nil {
		return 0, err
	}
	if end > maxTrailer || end == 0 && len(b) >= maxTrailer {
		return 0, ErrTrailer
	}
	if end == 0 {
		return 0, nil
	}
	c.state = atEnd
	if end == 2 {
		c.trailer.Fields = c.trailer.Fields[:0]
		return end, nil
	}
	if err := c.trailer.parse(b[:end], 0); err != nil {
		return 0, err
	}
	return end, nil
}
