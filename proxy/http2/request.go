package http2

import (
	"strconv"

	"golang.org/x/net/http2"
)

// headerless stands for a request whose header was beyond all bounds, of which only a part is known.
const headerless = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// request writes the header of a request into the stream. It reports false if that is malformed.
func (s *Stream) request(h *header) bool {
	s.eof, s.tooLarge = h.end, h.tooLarge
	if h.tooLarge {
		s.in = append(s.in, headerless...)
		return true
	}
	s.head = h.method == "HEAD"
	s.length, s.left, s.chunked = h.length, h.length, h.length < 0 && !h.end
	var ok bool
	s.in, ok = h.appendRequest(s.in)
	return ok
}

// body adds a part of the body.
func (s *Stream) body(b []byte, end bool) error {
	malformed := http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	if s.length >= 0 {
		if s.left -= int64(len(b)); s.left < 0 || end && s.left != 0 {
			s.conn.giveBack(int64(len(b)))
			return malformed
		}
	}
	if s.at > len(s.in)/2 {
		s.in, s.at = s.in[:copy(s.in, s.in[s.at:])], 0
	}
	switch {
	case len(b) > 0 && s.chunked:
		s.in = append(strconv.AppendInt(s.in, int64(len(b)), 16), "\r\n"...)
		s.in = append(append(s.in, b...), "\r\n"...)
	default:
		s.in = append(s.in, b...)
	}
	s.unread += int64(len(b))
	if end {
		s.finish(nil)
	}
	s.changed.Broadcast()
	return nil
}

// trailers ends the body with fields.
func (s *Stream) trailers(h *header) error {
	if !h.end || h.malformed || h.selfish || h.tooLarge || s.length >= 0 && s.left != 0 {
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	}
	s.finish(h.fields)
	s.changed.Broadcast()
	return nil
}

func (s *Stream) finish(trailers []byte) {
	s.eof = true
	if s.chunked {
		s.in = append(s.in, "0\r\n"...)
		s.in = append(append(s.in, trailers...), "\r\n"...)
	}
}
