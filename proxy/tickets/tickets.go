// Package tickets derives the keys of TLS session tickets, so that the nodes of a cluster accept each other's.
package tickets

import (
	"crypto/hkdf"
	"crypto/sha256"
	"strconv"
	"time"
)

// Period is how long one key encrypts new tickets. Shorter limits what a key that leaked opens; longer lets more
// clients resume. A ticket is accepted for two to three periods.
const Period = 8 * time.Hour

// kept is how many periods back tickets are still accepted.
const kept = 2

// Keys returns the keys at a moment: the first one encrypts, all decrypt. They depend on the secret, the context and the
// time alone, so that nodes with the same secret agree without talking. The key of the next period is among them, for the
// clocks of two nodes differ. Tickets of one context are worth nothing in another.
func Keys(secret []byte, context string, now time.Time) [][32]byte {
	period := now.Unix() / int64(Period/time.Second)
	keys := [][32]byte{key(secret, context, period), key(secret, context, period+1)}
	for back := int64(1); back <= kept; back++ {
		keys = append(keys, key(secret, context, period-back))
	}
	return keys
}

func key(secret []byte, context string, period int64) (k [32]byte) {
	info := "tandem tls ticket\x00" + strconv.FormatInt(period, 10) + "\x00" + context
	b, err := hkdf.Key(sha256.New, secret, nil, info, len(k))
	if err != nil {
		panic(err) // only lengths that HKDF cannot give are refused
	}
	copy(k[:], b)
	return k
}
