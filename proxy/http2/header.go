package http2

import (
	"strconv"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// header gathers the fields of a request, or its trailers, while they are decoded. What has a meaning for the framing of HTTP/1.1 is
// refused here, so that nothing can be smuggled.
type header struct {
	id       uint32
	end      bool // of the stream
	trailers bool
	selfish  bool   // it depends on itself
	encoded  []byte // as it has come so far

	left                            int // bytes that the fields may still have
	tooLarge, malformed             bool
	regular                         bool // pseudo-header fields come first
	method, path, scheme, authority string
	host                            string
	fields, cookies                 []byte
	length                          int64 // negative: not told
}

// begin prepares for the next one.
func (h *header) begin(f *http2.HeadersFrame, trailers bool, most int) {
	*h = header{
		id: f.StreamID, end: f.StreamEnded(), trailers: trailers, left: most, length: -1,
		selfish: f.HasPriority() && f.Priority.StreamDep == f.StreamID,
		encoded: append(h.encoded[:0], f.HeaderBlockFragment()...), fields: h.fields[:0], cookies: h.cookies[:0],
	}
}

// add takes one field.
func (h *header) add(f hpack.HeaderField) {
	if h.left -= int(f.Size()); h.left < 0 {
		h.tooLarge = true
	}
	switch {
	case h.tooLarge || h.malformed:
	case f.IsPseudo():
		h.malformed = h.trailers || h.regular || !h.pseudo(f)
	default:
		h.regular = true
		h.malformed = !sound(f) || !h.field(f)
	}
}

func (h *header) pseudo(f hpack.HeaderField) bool {
	var to *string
	switch f.Name {
	case ":method":
		to = &h.method
	case ":path":
		to = &h.path
	case ":scheme":
		to = &h.scheme
	case ":authority":
		to = &h.authority
	default:
		return false
	}
	if *to != "" || !visible(f.Value) {
		return false
	}
	*to = f.Value
	return true
}

func (h *header) field(f hpack.HeaderField) bool {
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "http2-settings":
		return false
	case "te":
		if h.trailers || f.Value != "trailers" {
			return false
		}
		h.fields = append(h.fields, "Connection: TE\r\n"...)
	case "host":
		if h.trailers || h.host != "" || !visible(f.Value) {
			return false
		}
		h.host = f.Value
		return true
	case "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 63)
		if h.trailers || err != nil || h.length >= 0 {
			return false
		}
		h.length = int64(n)
		return true
	case "cookie":
		if len(h.cookies) > 0 {
			h.cookies = append(h.cookies, "; "...)
		}
		h.cookies = append(h.cookies, f.Value...)
		return !h.trailers
	}
	h.fields = appendField(h.fields, f.Name, f.Value)
	return true
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}

// appendRequest appends the header as HTTP/1.1 has it. It reports false if it is malformed (RFC 9113, 8.2 and 8.3).
func (h *header) appendRequest(dst []byte) ([]byte, bool) {
	switch {
	case h.malformed || h.selfish || h.method == "" || h.path == "" || h.scheme != "http" && h.scheme != "https",
		h.path[0] != '/' && h.path != "*",
		h.authority != "" && h.host != "" && !sameHost(h.authority, h.host),
		h.end && h.length > 0:
		return dst, false
	}
	dst = append(append(dst, h.method...), ' ')
	dst = append(append(dst, h.path...), " HTTP/1.1\r\n"...)
	if h.host == "" {
		h.host = h.authority
	}
	if h.host != "" {
		dst = appendField(dst, "Host", h.host)
	}
	switch {
	case h.length >= 0:
		dst = append(strconv.AppendInt(append(dst, "Content-Length: "...), h.length, 10), "\r\n"...)
	case !h.end:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	dst = append(dst, h.fields...)
	if len(h.cookies) > 0 {
		dst = append(append(append(dst, "cookie: "...), h.cookies...), "\r\n"...)
	}
	return append(dst, "\r\n"...), true
}

// sameHost compares as names are compared: letters of either case.
func sameHost(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

// sound reports whether a field can stand in HTTP/1.1.
func sound(f hpack.HeaderField) bool {
	if v := f.Value; len(v) > 0 && (v[0] == ' ' || v[0] == '\t' || v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		return false
	}
	for i := range len(f.Name) {
		if f.Name[i] != lower(f.Name[i]) {
			return false
		}
	}
	return httpguts.ValidHeaderFieldName(f.Name) && httpguts.ValidHeaderFieldValue(f.Value)
}

// visible reports whether s is what a request line may hold.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}
