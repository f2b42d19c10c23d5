package sni

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// MaxHello bounds the first message of a client, with its record headers. Those of browsers have 600 to 2,000 bytes.
const MaxHello = 16 << 10

// What a client's first bytes can be, besides a whole ClientHello.
var (
	ErrShort  = errors.New("more of the ClientHello is wanted")
	ErrNotTLS = errors.New("client does not speak TLS")
	ErrBad    = errors.New("client's ClientHello is malformed")
	ErrLarge  = errors.New("client's ClientHello is too large")
)

const (
	recordHandshake = 22
	recordHeader    = 5
	maxRecord       = 16 << 10
	clientHello     = 1
	helloHeader     = 4
	extensionName   = 0
	nameHost        = 0
	maxName         = 255
)

// ServerName returns the name of the server that a client asks for, in lower case; "" if it asks for none. b is what the
// client has sent so far. The error is one of those above; after ErrShort it can be called again with more. It
// neither panics nor allocates much, whatever b is.
func ServerName(b []byte) (string, error) {
	body, err := hello(b)
	if err != nil {
		return "", err
	}
	s := cryptobyte.String(body)
	var session, ciphers, compressions, extensions cryptobyte.String
	if !s.Skip(2+32) || // version, random
		!s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		!s.ReadUint16LengthPrefixed(&ciphers) || len(ciphers)%2 != 0 ||
		!s.ReadUint8LengthPrefixed(&compressions) {
		return "", ErrBad
	}
	if s.Empty() {
		return "", nil
	}
	if !s.ReadUint16LengthPrefixed(&extensions) || !s.Empty() {
		return "", ErrBad
	}
	name, seen := "", false
	for !extensions.Empty() {
		var kind uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&data) {
			return "", ErrBad
		}
		if kind != extensionName {
			continue
		}
		// Two could be understood differently by us and by the backend.
		if seen {
			return "", ErrBad
		}
		seen = true
		if name, err = serverName(data); err != nil {
			return "", err
		}
	}
	return name, nil
}

// serverName reads the extension of RFC 6066, 3. Only one kind of name was ever defined, and one of each is allowed.
func serverName(data cryptobyte.String) (string, error) {
	var list, host cryptobyte.String
	var kind uint8
	if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() ||
		!list.ReadUint8(&kind) || kind != nameHost || !list.ReadUint16LengthPrefixed(&host) || !list.Empty() {
		return "", ErrBad
	}
	name, ok := Canonical(string(host))
	if !ok {
		return "", ErrBad
	}
	return name, nil
}

// hello gathers the message from its records. The first byte alone tells most of what is no TLS.
func hello(b []byte) ([]byte, error) {
	var whole []byte
	rest := b
	for {
		switch {
		case len(rest) > 0 && rest[0] != recordHandshake, len(rest) > 1 && rest[1] != 3:
			return nil, ErrNotTLS
		case len(rest) < recordHeader:
			return nil, short(b)
		}
		size := int(rest[3])<<8 | int(rest[4])
		if size == 0 || size > maxRecord {
			return nil, ErrBad
		}
		have := rest[recordHeader:min(recordHeader+size, len(rest))]
		whole = append(whole, have...)
		if len(whole) > 0 && whole[0] != clientHello {
			return nil, ErrBad
		}
		if len(whole) >= helloHeader {
			length := int(whole[1])<<16 | int(whole[2])<<8 | int(whole[3])
			switch {
			case length > MaxHello:
				return nil, ErrLarge
			case len(whole) >= helloHeader+length:
				return whole[helloHeader : helloHeader+length], nil
			}
		}
		if len(have) < size {
			return nil, short(b)
		}
		rest = rest[recordHeader+size:]
	}
}

func short(b []byte) error {
	if len(b) >= MaxHello {
		return ErrLarge
	}
	return ErrShort
}

// Alert is the fatal alert unrecognized_name (RFC 6066, 3), for a client whose name leads nowhere.
func Alert() []byte { return []byte{21, 3, 1, 0, 2, 2, 112} }
