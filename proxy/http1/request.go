package http1

import "bytes"

// maxMethod bounds a method; the longest registered one has 17 letters.
const maxMethod = 32

// Request is the header of a request. Its slices point into the bytes that Parse was given.
type Request struct {
	Header
	Method []byte
	// Target is the request target in origin form (or "*"), whatever form the client chose.
	Target []byte
	// Authority is the value of the Host field; empty only in HTTP/1.0.
	Authority []byte
	Minor     int   // of the version, 0 or 1
	Length    int64 // of the body; -1: not given
	Chunked   bool  // the body is chunked
	Keep      bool  // the client would send another request on this connection
	WebSocket bool  // the client asks for a websocket
	Continue  bool  // the client waits for 100 (Continue)
	Trailers  bool  // the client says that it reads trailers
}

// HasBody reports whether a body follows the header.
func (r *Request) HasBody() bool { return r.Chunked || r.Length > 0 }

// Idempotent reports whether sending the request twice is the same as sending it once (RFC 9110 9.2.2).
func (r *Request) Idempotent() bool {
	switch string(r.Method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// IsHead reports whether the method is HEAD, whose answers have no body.
func (r *Request) IsHead() bool { return string(r.Method) == "HEAD" }

// Parse reads b, a whole header as HeaderEnd found it. The error is an *Error.
func (r *Request) Parse(b []byte) error {
	l, n := line(b)
	if err := r.requestLine(l); err != nil {
		return err
	}
	if err := r.parse(b, n); err != nil {
		return err
	}
	var err error
	if r.Length, r.Chunked, err = r.framing(r.Minor, false); err != nil {
		return err
	}
	if err := r.host(); err != nil {
		return err
	}
	return r.meaning()
}

func (r *Request) requestLine(l []byte) error {
	sp := bytes.IndexByte(l, ' ')
	if sp < 0 {
		return ErrRequestLine
	}
	r.Method = l[:sp]
	if sp > maxMethod || !token(r.Method) {
		return ErrMethod
	}
	rest := l[sp+1:]
	if sp = bytes.IndexByte(rest, ' '); sp < 0 {
		return ErrRequestLine
	}
	target, version := rest[:sp], rest[sp+1:]
	if len(version) != 8 || string(version[:5]) != "HTTP/" || version[6] != '.' || !digit(version[5]) || !digit(version[7]) {
		return ErrRequestLine
	}
	if version[5] != '1' || version[7] > '1' {
		return ErrVersion
	}
	r.Minor = int(version[7] - '0')
	if string(r.Method) == "CONNECT" {
		return ErrConnect
	}
	return r.target(target)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// target reads the request target; r.Authority becomes the one of an absolute form, else empty.
func (r *Request) target(t []byte) error {
	r.Target, r.Authority = t, nil
	if len(t) == 0 || !graphic(t) {
		return ErrTarget
	}
	if bytes.IndexByte(t, '#') >= 0 {
		return ErrFragment
	}
	if t[0] == '/' {
		return nil
	}
	if len(t) == 1 && t[0] == '*' && string(r.Method) == "OPTIONS" {
		return nil
	}
	scheme := 7
	switch {
	case len(t) > 7 && fold(t[:7], "http://"):
	case len(t) > 8 && fold(t[:8], "https://"):
		scheme = 8
	default:
		return ErrTarget
	}
	rest := t[scheme:]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	r.Authority, r.Target = rest[:end], rest[end:]
	if !authority(r.Authority) {
		return ErrTarget
	}
	switch {
	case len(r.Target) == 0 && string(r.Method) == "OPTIONS":
		r.Target = []byte("*")
	case len(r.Target) == 0 || r.Target[0] == '?':
		r.Target = append([]byte("/"), r.Target...)
	}
	return nil
}

// host checks the Host field against the rules and against the target.
func (r *Request) host() error {
	var host *Field
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Kind == Host {
			if host != nil {
				return ErrHost
			}
			host = f
		}
	}
	if host == nil {
		if r.Minor > 0 {
			return ErrHost
		}
		return nil
	}
	v := r.Value(host)
	if !authority(v) {
		return ErrHost
	}
	if r.Authority != nil && !foldEqual(r.Authority, v) {
		return ErrAuthority
	}
	r.Authority = v
	return nil
}

// meaning reads what the remaining fields ask for.
func (r *Request) meaning() error {
	r.Keep = !r.close && (r.Minor > 0 || r.keepAlive)
	r.WebSocket, r.Continue, r.Trailers = false, false, false
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Kind {
		case Upgrade:
			r.WebSocket = r.upgrade && r.Minor > 0 && !r.HasBody() && string(r.Method) == "GET" && fold(r.Value(f), "websocket")
		case Expect:
			if r.Minor == 0 {
				continue // RFC 9110 10.1.1: ignored
			}
			if !fold(r.Value(f), "100-continue") {
				return ErrExpect
			}
			r.Continue = true
		case TE:
			for t := range list(r.Value(f)) {
				r.Trailers = r.Trailers || fold(t, "trailers")
			}
		}
	}
	return nil
}

// authority reports whether b is a host with an optional port, as in RFC 3986 but without user
// information and without an empty host.
func authority(b []byte) bool {
	host, port := b, []byte(nil)
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 3 {
			return false
		}
		for _, c := range b[1:end] {
			if !hexDigit(c) && c != ':' && c != '.' {
				return false
			}
		}
		host, port = nil, b[end+1:]
	} else {
		if i := bytes.IndexByte(b, ':'); i >= 0 {
			host, port = b[:i], b[i:]
		}
		if len(host) == 0 {
			return false
		}
	}
	for _, c := range host {
		if hosts[c] != 'x' {
			return false
		}
	}
	if len(port) > 0 && port[0] != ':' || len(port) > 6 {
		return false
	}
	for _, c := range port[min(1, len(port)):] {
		if !digit(c) {
			return false
		}
	}
	return true
}

// hosts marks the characters of a host name. RFC 3986 3.2.2 knows more, which no name has and on which readers
// differ.
const hosts = "................" + "................" +
	".....x.......xx." + "xxxxxxxxxx......" + // % - . 0-9
	".xxxxxxxxxxxxxxx" + "xxxxxxxxxxx....x" + // A-Z _
	".xxxxxxxxxxxxxxx" + "xxxxxxxxxxx...x." + // a-z ~
	"................" + "................" + "................" + "................" +
	"................" + "................" + "................" + "................"

func hexDigit(c byte) bool {
	return digit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
