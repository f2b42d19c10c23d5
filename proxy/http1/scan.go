package http1

import (
	"bytes"
	"encoding/binary"
)

// tokens marks the characters of a token (RFC 9110 5.6.2). A constant string costs no initialisation, and
// indexing it with a byte no bounds check.
const tokens = "................" + "................" +
	".x.xxxxx..xx.xx." + "xxxxxxxxxx......" + // ! # $ % & ' * + - . 0-9
	".xxxxxxxxxxxxxxx" + "xxxxxxxxxxx...xx" + // A-Z ^ _
	"xxxxxxxxxxxxxxxx" + "xxxxxxxxxxx.x.x." + // ` a-z | ~
	"................" + "................" + "................" + "................" +
	"................" + "................" + "................" + "................"

func isToken(c byte) bool { return tokens[c] == 'x' }

// token reports whether b is one token.
func token(b []byte) bool {
	for _, c := range b {
		if !isToken(c) {
			return false
		}
	}
	return len(b) > 0
}

// IsMethodStart reports whether a request can begin with c. It tells a TLS client that came to the wrong
// port before a whole line was read.
func IsMethodStart(c byte) bool { return isToken(c) || c == '\r' }

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain reports whether b has no control character but tabs. Eight bytes are looked at together, for
// values are most of what a proxy reads.
func plain(b []byte) bool {
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		// The classical tests for a byte below 0x20 and for one equal to 0x7f; both may only err towards the
		// slow look.
		del := w ^ ones*0x7f
		if ((w-ones*0x20)&^w|(del-ones)&^del)&highs != 0 && !plainSlow(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return plainSlow(b)
}

func plainSlow(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// graphic reports whether b consists of visible ASCII characters.
func graphic(b []byte) bool {
	for _, c := range b {
		if c <= 0x20 || c >= 0x7f {
			return false
		}
	}
	return true
}

// HeaderEnd looks for the empty line that ends a header, in b[from:]. It returns the length of the header with that
// line, or zero, when there is none yet; then the caller asks again with more in b and from = len(b) as
// it was. It finds a line that ends in a bare LF at once, so that nobody waits for a header that
// cannot come.
func HeaderEnd(b []byte, from int) (int, error) {
	for i := from; ; i++ {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return 0, nil
		}
		i += j
		if i == 0 || b[i-1] != '\r' {
			return 0, ErrBareLF
		}
		if i == 1 || b[i-2] == '\n' {
			return i + 1, nil
		}
	}
}

// line returns the line at the beginning of b without its CRLF, and its length with it. HeaderEnd has
// seen to it that every LF follows a CR.
func line(b []byte) ([]byte, int) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 {
		return nil, 0
	}
	return b[:i-1], i + 1
}

// fold reports whether b is lower, which is in lower case, but for case. It serves for tokens: outside
// them it takes some control characters for others.
func fold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range len(lower) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// foldEqual reports whether a and b are the same but for case.
func foldEqual(a, b []byte) bool {
	return len(a) == len(b) && bytes.EqualFold(a, b)
}

// trim removes spaces and tabs at both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// number reads decimal digits; 18 of them always fit.
func number(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
