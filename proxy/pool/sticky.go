package pool

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// sticky knows the backends by the values of their cookies.
type sticky struct {
	name string
	by   map[string]*Backend
}

// cookies gives every backend the value of its cookie: a MAC of the names of pool and backend, so that all nodes with
// the same secret know it, and no client learns or makes up a name.
func cookies(pool string, secret []byte) func(backend string) string {
	key, err := hkdf.Key(sha256.New, secret, nil, "tandem cookie v1", sha256.Size)
	if err != nil {
		panic(err) // only for lengths that SHA-256 cannot give
	}
	return func(backend string) string {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte(pool + "\x00" + backend)) // never fails; names have no NUL
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
	}
}

func newSticky(cookie string, backends []*Backend) sticky {
	if cookie == "" {
		return sticky{}
	}
	s := sticky{name: cookie, by: make(map[string]*Backend, len(backends))}
	for _, b := range backends {
		s.by[b.cookie] = b
	}
	return s
}

// Cookie returns the name of the cookie by which clients come back to their backend, empty if there is none.
func (p *Pool) Cookie() string { return p.conf().sticky.name }

// Sticky returns the backend of a cookie's value, nil if it is none of this pool's.
func (p *Pool) Sticky(value string) *Backend { return p.conf().sticky.by[value] }

// Cookie returns the value of the cookie by which a client comes back to this backend, if its pool has a cookie.
func (b *Backend) Cookie() string { return b.cookie }
