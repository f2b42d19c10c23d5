package http1

import (
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

// unchunk reads a body that arrives in pieces of the given size. It returns the data, the trailer and the rest.
func unchunk(raw []byte, piece int) (data, trailer, rest []byte, err error) {
	var c Chunks
	var held []byte
	for len(raw) > 0 || len(held) > 0 {
		d, n, err := c.Next(held)
		data = append(data, d...)
		if err != nil {
			return data, nil, nil, err
		}
		if c.Done() {
			trailer = c.AppendTrailer(nil)
			return data, trailer, append(held[n:], raw...), nil
		}
		held = held[n:]
		if len(d) > 0 {
			continue
		}
		if len(raw) == 0 {
			break
		}
		k := min(piece, len(raw))
		held, raw = append(held[:len(held):len(held)], raw[:k]...), raw[k:]
	}
	return data, nil, nil, io.ErrUnexpectedEOF
}

var refusedChunks = []struct {
	name, raw string
	want      error
}{
	{"no size", "\r\nabc\r\n0\r\n\r\n", ErrChunkSize},
	{"not a number", "x\r\n", ErrChunkSize},
	{"prefixed", "0x3\r\nabc\r\n0\r\n\r\n", ErrChunkSize},
	{"signed", "+3\r\nabc\r\n0\r\n\r\n", ErrChunkSize},
	{"negative", "-3\r\nabc\r\n0\r\n\r\n", ErrChunkSize},
	{"space before", " 3\r\nabc\r\n0\r\n\r\n", ErrChunkSize},
	{"space behind", "3 \r\nabc\r\n0\r\n\r\n", ErrChunkSize},
	{"underscore", "1_0\r\nabc\r\n0\r\n\r\n", ErrChunkSize},
	{"too many digits", "1234567890abcdef0\r\n", ErrChunkSize},
	{"bare LF after the size", "3\nabc\r\n0\r\n\r\n", ErrBareLF},
	{"data is longer", "3\r\nabcd\r\n0\r\n\r\n", ErrChunkEnd},
	{"data ends in LF", "3\r\nabc\n0\r\n\r\n", ErrChunkEnd},
	{"data ends in CR and something", "3\r\nabc\rx0\r\n\r\n", ErrChunkEnd},
	{"bare LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n", ErrBareLF},
	{"bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", ErrChunkExt},
	{"NUL in an extension", "3;\x00\r\nabc\r\n0\r\n\r\n", ErrChunkExt},
	{"endless extension", "3;" + strings.Repeat("a", 300) + "\r\nabc\r\n0\r\n\r\n", ErrChunkExt},
	{"many extensions", strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 30) + "0\r\n\r\n", ErrChunkExt},
	{"bare LF in the trailer", "0\r\nA: b\n\r\n", ErrBareLF},
	{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n", ErrObsFold},
	{"trailer without colon", "0\r\nA\r\n\r\n", ErrFieldName},
	{"endless trailer", "0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 100)+"\r\n", 100) + "\r\n", ErrTrailer},
}

func TestMalformedChunksAreRefused(t *testing.T) {
	for _, c := range refusedChunks {
		for _, piece := range []int{1, 7, 1 << 20} {
			if _, _, _, err := unchunk([]byte(c.raw), piece); !errors.Is(err, c.want) {
				t.Errorf("%s, in pieces of %d: %v, want %v", c.name, piece, err, c.want)
			}
		}
	}
}

func TestChunksAreTakenApart(t *testing.T) {
	for _, c := range []struct{ name, raw, data, trailer string }{
		{"empty", "0\r\n\r\n", "", ""},
		{"one", "3\r\nabc\r\n0\r\n\r\n", "abc", ""},
		{"several", "3\r\nabc\r\nA\r\n0123456789\r\n000\r\n\r\n", "abc0123456789", ""},
		{"extension", "3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\n\r\n", "abc", ""},
		{"data looks like chunks", "7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n\r\n", ""},
		{"trailer", "0\r\nX-Sum: 1\r\nContent-Length: 5\r\nX-Forwarded-For: x\r\nHost: x\r\nX_Y: z\r\nZ: 2\r\n\r\n", "", "X-Sum: 1\r\nZ: 2\r\n"},
	} {
		for _, piece := range []int{1, 2, 5, 1 << 20} {
			data, trailer, rest, err := unchunk([]byte(c.raw+"NEXT"), piece)
			if err != nil || string(data) != c.data || string(trailer) != c.trailer || string(rest) != "NEXT" {
				t.Errorf("%s, in pieces of %d: data %q trailer %q rest %q err %v; want %q %q NEXT", c.name, piece, data, trailer, rest, err, c.data, c.trailer)
			}
		}
	}
}

// FuzzChunks holds that the pieces in which a body arrives make no difference, and that net/http reads the same
// data from whatever is let through.
func FuzzChunks(f *testing.F) {
	for _, c := range refusedChunks {
		f.Add([]byte(c.raw), 3)
	}
	f.Add([]byte("3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, raw []byte, piece int) {
		piece = max(1, min(piece, 1<<16))
		data, trailer, rest, err := unchunk(raw, 1<<20)
		data2, trailer2, rest2, err2 := unchunk(raw, piece)
		if (err == nil) != (err2 == nil) || err == nil && (!bytes.Equal(data, data2) || !bytes.Equal(trailer, trailer2) || !bytes.Equal(rest, rest2)) {
			t.Fatalf("whole: %q %q %q %v; in pieces of %d: %q %q %q %v", data, trailer, rest, err, piece, data2, trailer2, rest2, err2)
		}
		if err != nil {
			return
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(raw)))
		if err == nil && !bytes.Equal(theirs, data) {
			t.Fatalf("net/http reads %q, we read %q", theirs, data)
		}
	})
}
