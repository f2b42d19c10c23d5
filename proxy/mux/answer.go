package mux

import (
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// maxInterims bounds the interim answers to one request.
const maxInterims = 16

// headers takes an interim or final header of an answer, or the trailers that end it.
func (c *Conn) headers(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	s := c.streams[id]
	if s == nil {
		return c.known(id)
	}
	malformed := http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
	if f.Truncated {
		return malformed
	}
	if s.final {
		return s.takeTrailers(f)
	}
	status, err := strconv.Atoi(f.PseudoValue("status"))
	if err != nil || status < 100 || status > 999 || status == 101 || len(f.PseudoFields()) != 1 {
		return malformed
	}
	interim := status < 200
	if s.interims++; interim && (f.StreamEnded() || s.interims > maxInterims) || len(s.front) > c.cfg.MaxHeader {
		return malformed
	}
	b := append(s.front, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, " \r\n"...)
	length := int64(-1)
	for _, h := range f.RegularFields() {
		if h.Name == "content-length" {
			n, err := strconv.ParseUint(h.Value, 10, 63)
			if err != nil || length >= 0 || interim || status == 204 {
				return malformed
			}
			length = int64(n)
			continue
		}
		if !passable(h) {
			return malformed
		}
		b = appendField(b, h)
	}
	bodiless := s.head || status == 204 || status == 304
	switch {
	case interim:
	case bodiless && length >= 0:
		b, s.length = appendLength(b, length), 0
	case bodiless:
		s.length = 0
	case f.StreamEnded() && length > 0:
		return malformed
	case f.StreamEnded():
		b, s.length = appendLength(b, 0), 0
	case length >= 0 && !trailing(f):
		b, s.length = appendLength(b, length), length
	default:
		// By chunks there can be trailers behind the body.
		b, s.chunked, s.length = append(b, "transfer-encoding: chunked\r\n"...), true, length
	}
	s.front = append(b, "\r\n"...)
	if !interim {
		s.final, c.answered = true, true
	}
	if f.StreamEnded() {
		s.end(nil)
	}
	s.changed.Broadcast()
	return nil
}

// trailing reports whether trailers are to be expected, so that the body must come in chunks even if its length is known.
func trailing(f *http2.MetaHeadersFrame) bool {
	for _, h := range f.RegularFields() {
		if h.Name == "trailer" || h.Name == "content-type" && strings.HasPrefix(h.Value, "application/grpc") {
			return true
		}
	}
	return false
}

func appendLength(b []byte, n int64) []byte {
	return append(strconv.AppendInt(append(b, "content-length: "...), n, 10), "\r\n"...)
}

func appendField(b []byte, h hpack.HeaderField) []byte {
	b = append(append(b, h.Name...), ": "...)
	return append(append(b, h.Value...), "\r\n"...)
}

// passable reports whether a field can stand in HTTP/1.1 and says nothing there about the connection or the message's length.
func passable(h hpack.HeaderField) bool {
	switch h.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "content-length":
		return false
	}
	return httpguts.ValidHeaderFieldName(h.Name) && httpguts.ValidHeaderFieldValue(h.Value)
}

func (s *Stream) takeTrailers(f *http2.MetaHeadersFrame) error {
	malformed := http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	if !f.StreamEnded() || len(f.PseudoFields()) > 0 || s.length > 0 {
		return malformed
	}
	for _, h := range f.RegularFields() {
		if !passable(h) {
			return malformed
		}
	}
	s.end(f.RegularFields())
	s.changed.Broadcast()
	return nil
}

// end ends the answer.
func (s *Stream) end(trailers []hpack.HeaderField) {
	s.eof = true
	if s.chunked {
		s.closing = append(s.closing, "0\r\n"...)
		for _, h := range trailers {
			s.closing = appendField(s.closing, h)
		}
		s.closing = append(s.closing, "\r\n"...)
	}
	if s.finished {
		s.conn.forget(s)
	}
}

// data takes a part of an answer's body.
func (c *Conn) data(f *http2.DataFrame) error {
	id, size := f.StreamID, int64(f.Length)
	if c.receive -= size; c.receive < 0 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	// Streams have windows of their own; a slow reader of one must not hold up the others.
	if c.credit += size; c.credit >= connWindow/4 {
		c.receive += c.credit
		_ = c.writer.WriteWindowUpdate(0, uint32(c.credit))
		c.credit = 0
		c.writeSoon()
	}
	s := c.streams[id]
	if s == nil {
		return c.known(id)
	}
	b := f.Data()
	switch s.receive -= size; {
	case s.receive < 0:
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeFlowControl}
	case s.eof:
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeStreamClosed}
	case !s.final || s.length >= 0 && int64(len(b)) > s.length:
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
	}
	if s.length >= 0 {
		s.length -= int64(len(b))
	}
	s.body.Write(b)
	s.giveBack(size - int64(len(b)))
	if f.StreamEnded() {
		if s.length > 0 {
			return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
		}
		s.end(nil)
	}
	s.changed.Broadcast()
	return nil
}
