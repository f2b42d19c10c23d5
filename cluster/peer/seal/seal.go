package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"unicode"
	"unicode/utf8"
)

// Size is the length of a seal in bytes: HMAC-SHA256 cut to 128 bits, as RFC 2104 section 5 allows.
const Size = 16

// MaxName is the longest name of a node in bytes. With it, a beat of a full cluster still fits into one frame.
const MaxName = 128

// open is the key of clusters without one. It is public: it tells damage from health, and nothing else.
const open = "tandem without a key, v1"

// Key is the cluster's secret. It is a value and may be shared.
type Key struct {
	secret []byte
	// ID tells two keys apart without revealing anything about them; it is sent in the clear.
	ID uint32
	// Open is true for clusters without a key.
	Open bool
}

// NewKey takes the 32 bytes of the key file; nil gives the public key of clusters that run without one.
func NewKey(secret []byte) (Key, error) {
	k := Key{secret: secret}
	switch {
	case secret == nil:
		k.secret, k.Open = []byte(open), true
	case len(secret) != 32:
		return Key{}, fmt.Errorf("the cluster's key has %d bytes, it must have 32: make one with tandem keygen", len(secret))
	}
	id, err := k.Derive("tandem key id v1", nil, 4)
	if err != nil {
		return Key{}, err
	}
	k.ID = binary.BigEndian.Uint32(id)
	return k, nil
}

// OpenID is the ID of the public key: a sender with it runs without a key.
func OpenID() uint32 {
	k, err := NewKey(nil)
	if err != nil {
		return 0
	}
	return k.ID
}

// Derive makes n bytes of key for one purpose, of which salt may narrow the use to one occasion.
func (k Key) Derive(purpose string, salt []byte, n int) ([]byte, error) {
	b, err := hkdf.Key(sha256.New, k.secret, salt, purpose, n)
	if err != nil {
		return nil, fmt.Errorf("derive a key for %q: %w", purpose, err)
	}
	return b, nil
}

// MAC seals and checks. It allocates nothing after the first use, and is not for concurrent use.
type MAC struct {
	h   hash.Hash
	sum [sha256.Size]byte
}

// NewMAC makes a MAC with a derived key.
func NewMAC(key []byte) *MAC { return &MAC{h: hmac.New(sha256.New, key)} }

// Append appends the seal of b[from:] to b.
func (m *MAC) Append(b []byte, from int) []byte {
	return append(b, m.make(b[from:])[:Size]...)
}

// Valid reports whether b ends with the seal of what stands before it.
func (m *MAC) Valid(b []byte) bool {
	if len(b) < Size {
		return false
	}
	cut := len(b) - Size
	return hmac.Equal(m.make(b[:cut])[:Size], b[cut:])
}

func (m *MAC) make(b []byte) []byte {
	m.h.Reset()
	m.h.Write(b)
	return m.h.Sum(m.sum[:0])
}

// Cluster is the name of a cluster in four bytes: it tells neighbours with the same key apart.
func Cluster(name string) uint32 {
	sum := sha256.Sum256([]byte("tandem cluster v1 " + name))
	return binary.BigEndian.Uint32(sum[:])
}

// CheckName says what is wrong with a node's name, if anything: names are printed in logs and sent with each beat.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the node's name is empty; allowed: 1 to 128 bytes without spaces")
	case !ValidName([]byte(name)):
		return fmt.Errorf("the node's name %q is not allowed: 1 to 128 bytes of UTF-8 without spaces and control characters", name)
	}
	return nil
}

// ValidName is CheckName for bytes from the network.
func ValidName(name []byte) bool {
	if len(name) == 0 || len(name) > MaxName {
		return false
	}
	for len(name) > 0 {
		r, n := utf8.DecodeRune(name)
		if (r == utf8.RuneError && n == 1) || !unicode.IsGraphic(r) || unicode.IsSpace(r) {
			return false
		}
		name = name[n:]
	}
	return true
}
