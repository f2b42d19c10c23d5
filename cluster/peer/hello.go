package peer

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tandem-lb/tandem/cluster/peer/seal"
)

// A hello, version 1, big endian. The first 8 bytes are the same in every version, so that nodes of different versions can tell.
//
//	 0  4  "TNDS"
//	 4  1  version
//	 5  1  0
//	 6  2  length of all of it
//	 8  4  key id
//	12  4  cluster: hash of the cluster's name
//	16  8  boot
//	24 32  nonce
//	56     name
//
// The dialer sends its hello; the listener answers with its own and a proof; the dialer sends its proof; the listener sends the first
// frame. A proof is a seal over role and both hellos: it contains the other's nonce, so nothing recorded can be used again, and the role, so nothing
// can be sent back to whom it came from. Both hellos go into the keys of the frames.
const (
	magic     = "TNDS"
	version   = 1
	helloHead = 8
	helloMin  = 56
	helloMax  = helloMin + seal.MaxName
)

type hello struct {
	keyID   uint32
	cluster uint32
	boot    uint64
	nonce   [32]byte
	name    string
}

func (h *hello) bytes() []byte {
	b := make([]byte, 0, helloMax)
	b = append(b, magic...)
	b = append(b, version, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(helloMin+len(h.name)))
	b = binary.BigEndian.AppendUint32(b, h.keyID)
	b = binary.BigEndian.AppendUint32(b, h.cluster)
	b = binary.BigEndian.AppendUint64(b, h.boot)
	b = append(b, h.nonce[:]...)
	return append(b, h.name...)
}

// Why a handshake ended. What to do about it is in the log messages.
var (
	errForeign  = errors.New("this is not a tandem")
	errVersion  = errors.New("another version of the protocol")
	errKey      = errors.New("another key")
	errNoKey    = errors.New("one node has a key and the other is insecure")
	errCluster  = errors.New("a cluster with another name")
	errProof    = errors.New("the proof of the key is wrong")
	errSelf     = errors.New("this node itself")
	errSameName = errors.New("another node with this node's name")
	errCrowded  = errors.New("too many nodes")
)

// readHello reads the other's hello and its bytes.
func readHello(r io.Reader) (h hello, raw []byte, err error) {
	raw = make([]byte, helloHead, helloMax)
	if _, err := io.ReadFull(r, raw); err != nil {
		return h, nil, fmt.Errorf("read the hello: %w", err)
	}
	size := int(binary.BigEndian.Uint16(raw[6:]))
	switch {
	case string(raw[:4]) != magic:
		return h, nil, errForeign
	case raw[4] != version:
		return h, nil, errVersion
	case size <= helloMin || size > helloMax:
		return h, nil, errForeign
	}
	raw = raw[:size]
	if _, err := io.ReadFull(r, raw[helloHead:]); err != nil {
		return h, nil, fmt.Errorf("read the hello: %w", err)
	}
	h.keyID, h.cluster = binary.BigEndian.Uint32(raw[8:]), binary.BigEndian.Uint32(raw[12:])
	h.boot = binary.BigEndian.Uint64(raw[16:])
	copy(h.nonce[:], raw[24:])
	if h.boot == 0 || !seal.ValidName(raw[helloMin:]) {
		return h, nil, errForeign
	}
	h.name = string(raw[helloMin:])
	return h, raw, nil
}

// identity is who this node is in handshakes.
type identity struct {
	key     seal.Key
	cluster uint32
	boot    uint64
	name    string
}

func (id *identity) hello() hello {
	h := hello{keyID: id.key.ID, cluster: id.cluster, boot: id.boot, name: id.name}
	_, _ = rand.Read(h.nonce[:]) // never fails: crypto/rand ends the process instead
	return h
}

// judge says what is wrong with the other's hello, before any proof: the words are not trusted, but no good comes of going on.
func (id *identity) judge(h *hello) error {
	switch {
	case h.keyID != id.key.ID && (id.key.Open || h.keyID == seal.OpenID()):
		return errNoKey
	case h.keyID != id.key.ID:
		return errKey
	case h.cluster != id.cluster:
		return errCluster
	}
	return nil
}

// judgeName is for after the proof.
func (id *identity) judgeName(h *hello) error {
	switch {
	case h.name == id.name && h.boot == id.boot:
		return errSelf
	case h.name == id.name || h.boot == id.boot:
		return errSameName
	}
	return nil
}

// session is what a handshake leaves: who the other is, and keys for both directions.
type session struct {
	name    string
	boot    uint64
	in, out *seal.MAC
}

// prover makes and checks proofs over both hellos.
func (id *identity) prover(dialer, listener []byte, role string) (*seal.MAC, []byte, error) {
	k, err := id.key.Derive("tandem stream v1 proof", nil, 32)
	if err != nil {
		return nil, nil, err
	}
	msg := append([]byte(role), dialer...)
	return seal.NewMAC(k), append(msg, listener...), nil
}

func (id *identity) prove(w io.Writer, first, dialer, listener []byte, role string) error {
	m, msg, err := id.prover(dialer, listener, role)
	if err != nil {
		return err
	}
	proof := m.Append(msg, 0)[len(msg):]
	if _, err := w.Write(append(first, proof...)); err != nil {
		return fmt.Errorf("write the proof: %w", err)
	}
	return nil
}

func (id *identity) checkProof(r io.Reader, dialer, listener []byte, role string) error {
	m, msg, err := id.prover(dialer, listener, role)
	if err != nil {
		return err
	}
	var proof [seal.Size]byte
	if _, err := io.ReadFull(r, proof[:]); err != nil {
		return fmt.Errorf("read the proof: %w", err)
	}
	if !m.Valid(append(msg, proof[:]...)) {
		return errProof
	}
	return nil
}

const (
	roleDialer   = "dialer"
	roleListener = "listener"
)

// shakeAsDialer runs the dialer's part. The caller sets the deadline.
func (id *identity) shakeAsDialer(rw io.ReadWriter) (session, error) {
	own := id.hello()
	ownRaw := own.bytes()
	if _, err := rw.Write(ownRaw); err != nil {
		return session{}, fmt.Errorf("write the hello: %w", err)
	}
	h, raw, err := readHello(rw)
	if err != nil {
		return session{}, err
	}
	if err := id.judge(&h); err != nil {
		return session{name: h.name}, err
	}
	if err := id.checkProof(rw, ownRaw, raw, roleListener); err != nil {
		return session{name: h.name}, err
	}
	if err := id.judgeName(&h); err != nil {
		return session{name: h.name}, err
	}
	if err := id.prove(rw, nil, ownRaw, raw, roleDialer); err != nil {
		return session{name: h.name}, err
	}
	return id.session(&h, ownRaw, raw, true)
}

// shakeAsListener runs the listener's part. The hello is sent in every case but one, so that the other can tell, too, what does not fit: to
// what is no tandem, nothing is said.
func (id *identity) shakeAsListener(rw io.ReadWriter) (session, error) {
	own := id.hello()
	ownRaw := own.bytes()
	h, raw, err := readHello(rw)
	if err == nil {
		err = id.judge(&h)
	}
	if err != nil {
		if errors.Is(err, errVersion) || errors.Is(err, errKey) || errors.Is(err, errNoKey) || errors.Is(err, errCluster) {
			_, _ = rw.Write(ownRaw) // a courtesy
		}
		return session{name: h.name}, err
	}
	if err := id.prove(rw, ownRaw[:len(ownRaw):len(ownRaw)], raw, ownRaw, roleListener); err != nil {
		return session{name: h.name}, err
	}
	if err := id.judgeName(&h); err != nil {
		return session{name: h.name}, err
	}
	if err := id.checkProof(rw, raw, ownRaw, roleDialer); err != nil {
		return session{name: h.name}, err
	}
	return id.session(&h, raw, ownRaw, false)
}

// session derives the keys of the frames.
func (id *identity) session(h *hello, dialer, listener []byte, dialed bool) (session, error) {
	salt := append(append([]byte(nil), dialer...), listener...)
	fromDialer, err := id.key.Derive("tandem stream v1 from dialer", salt, 32)
	if err != nil {
		return session{}, err
	}
	fromListener, err := id.key.Derive("tandem stream v1 from listener", salt, 32)
	if err != nil {
		return session{}, err
	}
	s := session{name: h.name, boot: h.boot, in: seal.NewMAC(fromDialer), out: seal.NewMAC(fromListener)}
	if dialed {
		s.in, s.out = s.out, s.in
	}
	return s, nil
}
