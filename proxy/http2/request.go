package http2

import (
	"bytes"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// tooLarge is a request line that no HTTP/1.1 parser takes, by which a header beyond all bounds is refused as any other.
const tooLarge = "GET / HTTP/1.1\r\nHost: x\r\n"

// request writes the header of an HTTP/1.1 request into the stream. It reports false if what came is malformed (RFC 9113, 8.2 and 8.3).
// Whatever has a meaning for the framing of HTTP/1.1 is refused here, so that nothing can be smuggled.
func (s *Stream) request(f *http2.MetaHeadersFrame) bool {
	method, path, authority := f.PseudoValue("method"), f.PseudoValue("path"), f.PseudoValue("authority")
	if !visible(method) || !visible(path) || f.PseudoValue("scheme") == "" || strings.IndexFunc(authority, notVisible) >= 0 {
		return false
	}
	if path[0] != '/' && path != "*" {
		return false
	}
	s.head = method == "HEAD"
	var fields bytes.Buffer
	var cookies []string
	for _, h := range f.RegularFields() {
		switch h.Name {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "http2-settings":
			return false
		case "te":
			if h.Value != "trailers" {
				return false
			}
			fields.WriteString("Connection: TE\r\n")
		case "host":
			if authority != "" && !strings.EqualFold(authority, h.Value) || strings.IndexFunc(h.Value, notVisible) >= 0 {
				return false
			}
			authority = h.Value
			continue
		case "content-length":
			n, err := strconv.ParseUint(h.Value, 10, 63)
			if err != nil || s.length >= 0 {
				return false
			}
			s.length = int64(n)
			continue
		case "cookie":
			if !sound(h) {
				return false
			}
			cookies = append(cookies, h.Value)
			continue
		}
		if !sound(h) {
			return false
		}
		writeField(&fields, h)
	}
	if len(cookies) > 0 {
		writeField(&fields, hpack.HeaderField{Name: "cookie", Value: strings.Join(cookies, "; ")})
	}
	end := f.StreamEnded()
	if end && s.length > 0 {
		return false
	}
	b := append(s.in, method...)
	b = append(append(append(b, ' '), path...), " HTTP/1.1\r\n"...)
	if authority != "" {
		b = append(append(append(b, "Host: "...), authority...), "\r\n"...)
	}
	switch {
	case s.length >= 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), s.length, 10), "\r\n"...)
	case !end:
		b, s.chunked = append(b, "Transfer-Encoding: chunked\r\n"...), true
	}
	b = append(b, fields.Bytes()...)
	s.in, s.eof = append(b, "\r\n"...), end
	s.left = s.length
	return true
}

func writeField(b *bytes.Buffer, h hpack.HeaderField) {
	b.WriteString(h.Name)
	b.WriteString(": ")
	b.WriteString(h.Value)
	b.WriteString("\r\n")
}

// sound reports whether a field can stand in HTTP/1.1. The framer has looked at it too; this is where it counts.
func sound(h hpack.HeaderField) bool {
	if v := h.Value; len(v) > 0 && (v[0] == ' ' || v[0] == '\t' || v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		return false
	}
	return httpguts.ValidHeaderFieldName(h.Name) && httpguts.ValidHeaderFieldValue(h.Value) && strings.ToLower(h.Name) == h.Name
}

func notVisible(r rune) bool { return r <= ' ' || r >= 0x7f }

func visible(s string) bool { return s != "" && strings.IndexFunc(s, notVisible) < 0 }

// body adds a part of the body.
func (s *Stream) body(b []byte, end bool) error {
	malformed := http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	if s.length >= 0 {
		if s.left -= int64(len(b)); s.left < 0 || end && s.left != 0 {
			s.giveBack(int64(len(b)))
			return malformed
		}
	}
	if len(b) > 0 && s.chunked {
		s.in = append(strconv.AppendInt(s.in, int64(len(b)), 16), "\r\n"...)
	}
	s.in = append(s.in, b...)
	s.unread += int64(len(b))
	if len(b) > 0 && s.chunked {
		s.in = append(s.in, "\r\n"...)
	}
	if end {
		s.finish(nil)
	}
	s.changed.Broadcast()
	return nil
}

// trailers ends the body with fields.
func (s *Stream) trailers(fields []hpack.HeaderField) error {
	malformed := http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	if s.length >= 0 && s.left != 0 {
		return malformed
	}
	for _, h := range fields {
		switch h.Name {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "te", "host", "content-length":
			return malformed
		}
		if !sound(h) {
			return malformed
		}
	}
	s.finish(fields)
	s.changed.Broadcast()
	return nil
}

func (s *Stream) finish(trailers []hpack.HeaderField) {
	s.eof = true
	if !s.chunked {
		return
	}
	b := bytes.NewBuffer(append(s.in, "0\r\n"...))
	for _, h := range trailers {
		writeField(b, h)
	}
	b.WriteString("\r\n")
	s.in = b.Bytes()
}
