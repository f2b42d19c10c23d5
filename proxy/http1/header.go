package http1

import (
	"bytes"
	"iter"
)

// MaxFields bounds the number of fields of a header. Common servers take 100 to 128.
const MaxFields = 128

// maxOptions bounds the options of all Connection fields together; real ones have two or three.
const maxOptions = 16

// Kind tells the fields that a proxy must know from those that it only passes on.
type Kind uint8

// The kinds of fields.
const (
	Other Kind = iota
	Host
	Connection
	ContentLength
	TransferEncoding
	Upgrade
	Expect
	TE
	Trailer
	Hop // belongs to one connection and is never passed on: Keep-Alive, Proxy-Connection, HTTP2-Settings ...
	Forwarded
	ForwardedFor
	ForwardedProto
	ForwardedHost
	ForwardedMore // X-Forwarded-anything-else and X-Real-IP
	Underscore    // a name that some backends cannot tell from another with '-' in it
)

// Field is one line of a header. Its offsets are into the header's bytes.
type Field struct {
	start, nameEnd, valueStart, valueEnd, end int32
	Kind                                      Kind
	// Hop is set when a Connection field names the field, which makes it a matter of one connection.
	Hop bool
}

// Header is the fields of a message. It is used again and again without allocating.
type Header struct {
	raw    []byte
	Fields []Field

	close, keepAlive, upgrade bool // options of the Connection fields
}

// Name returns the name of f as it was written.
func (h *Header) Name(f *Field) []byte { return h.raw[f.start:f.nameEnd] }

// Value returns the value of f without the spaces around it.
func (h *Header) Value(f *Field) []byte { return h.raw[f.valueStart:f.valueEnd] }

// Kinds is a set of kinds.
type Kinds uint32

// Set returns the set of these kinds.
func Set(kinds ...Kind) Kinds {
	var s Kinds
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// AppendFields appends the lines of the fields of those kinds as they were written, without those that a
// Connection field names. Neighbours are copied together.
func (h *Header) AppendFields(dst []byte, kinds Kinds) []byte {
	from := int32(-1)
	for i := range h.Fields {
		f := &h.Fields[i]
		switch keep := kinds&(1<<f.Kind) != 0 && !f.Hop; {
		case keep && from < 0:
			from = f.start
		case !keep && from >= 0:
			dst = append(dst, h.raw[from:f.start]...)
			from = -1
		}
	}
	if from >= 0 {
		dst = append(dst, h.raw[from:h.Fields[len(h.Fields)-1].end]...)
	}
	return dst
}

// parse reads the lines in b[from:] up to the empty one. b is a whole header by the word of HeaderEnd.
func (h *Header) parse(b []byte, from int) error {
	h.raw, h.Fields = b, h.Fields[:0]
	h.close, h.keepAlive, h.upgrade = false, false, false
	connection := false
	for {
		l, n := line(b[from:])
		if len(l) == 0 {
			break
		}
		if len(h.Fields) == MaxFields {
			return ErrTooManyField
		}
		if l[0] == ' ' || l[0] == '\t' {
			return ErrObsFold
		}
		colon := bytes.IndexByte(l, ':')
		if colon < 1 || !token(l[:colon]) {
			return ErrFieldName
		}
		value := trim(l[colon+1:])
		if !plain(value) {
			return ErrFieldValue
		}
		f := Field{
			start: int32(from), nameEnd: int32(from + colon), end: int32(from + n), Kind: kindOf(l[:colon]),
		}
		f.valueStart = int32(from + colon + 1)
		if len(value) > 0 {
			// Both end where b ends, as far as their capacity goes.
			f.valueStart = int32(from + cap(l) - cap(value))
		}
		f.valueEnd = f.valueStart + int32(len(value))
		connection = connection || f.Kind == Connection
		h.Fields = append(h.Fields, f)
		from += n
	}
	if connection {
		return h.options()
	}
	return nil
}

// options reads the Connection fields and marks the fields that they name.
func (h *Header) options() error {
	count := 0
	for i := range h.Fields {
		if h.Fields[i].Kind != Connection {
			continue
		}
		for option := range list(h.Value(&h.Fields[i])) {
			if count++; count > maxOptions || !token(option) {
				return ErrConnection
			}
			switch {
			case fold(option, "close"):
				h.close = true
			case fold(option, "keep-alive"):
				h.keepAlive = true
			case fold(option, "upgrade"):
				h.upgrade = true
			default:
				if err := h.nominate(option); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// nominate marks the fields of that name as a matter of this connection. What says where a message goes, how
// long it is, or who sent it cannot be made so.
func (h *Header) nominate(name []byte) error {
	switch kindOf(name) {
	case Host, ContentLength, TransferEncoding:
		return ErrConnection
	case Forwarded, ForwardedFor, ForwardedProto, ForwardedHost, ForwardedMore:
		return nil
	}
	for i := range h.Fields {
		if f := &h.Fields[i]; foldEqual(h.Name(f), name) {
			f.Hop = true
		}
	}
	return nil
}

// list yields the non-empty members of a comma-separated list.
func list(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			member := b
			if i := bytes.IndexByte(b, ','); i >= 0 {
				member, b = b[:i], b[i+1:]
			} else {
				b = nil
			}
			if member = trim(member); len(member) > 0 && !yield(member) {
				return
			}
		}
	}
}

// kindOf tells what a field is by its name, which is a token.
func kindOf(name []byte) Kind {
	switch len(name) {
	case 2:
		return pick(name, "te", TE)
	case 4:
		return pick(name, "host", Host)
	case 6:
		return pick(name, "expect", Expect)
	case 7:
		if fold(name, "upgrade") {
			return Upgrade
		}
		return pick(name, "trailer", Trailer)
	case 9:
		if fold(name, "x-real-ip") {
			return ForwardedMore
		}
		return pick(name, "forwarded", Forwarded)
	case 10:
		if fold(name, "keep-alive") {
			return Hop
		}
		return pick(name, "connection", Connection)
	case 14:
		if fold(name, "http2-settings") {
			return Hop
		}
		return pick(name, "content-length", ContentLength)
	case 16:
		if fold(name, "proxy-connection") {
			return Hop
		}
	case 17:
		if fold(name, "transfer-encoding") {
			return TransferEncoding
		}
	case 18:
		if fold(name, "proxy-authenticate") {
			return Hop
		}
	case 19:
		if fold(name, "proxy-authorization") {
			return Hop
		}
	}
	if len(name) > 12 && fold(name[:12], "x-forwarded-") {
		switch rest := name[12:]; {
		case fold(rest, "for"):
			return ForwardedFor
		case fold(rest, "proto"):
			return ForwardedProto
		case fold(rest, "host"):
			return ForwardedHost
		}
		return ForwardedMore
	}
	return pick(name, "", Other)
}

// pick returns kind when name is lower, and otherwise whether an underscore makes the name ambiguous.
func pick(name []byte, lower string, kind Kind) Kind {
	if fold(name, lower) {
		return kind
	}
	if bytes.IndexByte(name, '_') >= 0 {
		return Underscore
	}
	return Other
}

// framing reads Content-Length and Transfer-Encoding. length is -1 when there is none. Codings are compared
// with their case only in requests: some old servers write "Chunked", no client does.
func (h *Header) framing(minor int, anyCase bool) (length int64, chunked bool, err error) {
	length = -1
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.Kind {
		case ContentLength:
			n, ok := number(h.Value(f))
			if !ok || length >= 0 {
				return 0, false, ErrLength
			}
			length = n
		case TransferEncoding:
			v := h.Value(f)
			if chunked || string(v) != "chunked" && !(anyCase && fold(v, "chunked")) {
				return 0, false, ErrCoding
			}
			chunked = true
		}
	}
	switch {
	case chunked && length >= 0:
		return 0, false, ErrLengthCoding
	case chunked && minor == 0:
		return 0, false, ErrOldCoding
	}
	return length, chunked, nil
}
