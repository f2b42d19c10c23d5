package proxy

import (
	"strings"

	"github.com/tandem-lb/tandem/proxy/http1"
	"github.com/tandem-lb/tandem/proxy/pool"
)

// sticky returns the backend that r's cookie names, nil if it names none.
func sticky(p *pool.Pool, r *http1.Request) *pool.Backend {
	name := p.Cookie()
	if name == "" {
		return nil
	}
	var home *pool.Backend
	r.Any("cookie", func(field string) bool {
		for rest := field; rest != "" && home == nil; {
			var value string
			if value, rest = nextCookie(rest, name); value != "" {
				home = p.Sticky(value)
			}
		}
		return home != nil
	})
	return home
}

// nextCookie cuts the first cookie off a Cookie field's value (RFC 6265 4.2.1). value is empty if it is another than name.
func nextCookie(field, name string) (value, rest string) {
	pair, rest, _ := strings.Cut(field, ";")
	key, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
	if key != name {
		return "", rest
	}
	return value, rest
}

// appendCookie appends the cookie by which the client comes back to b, unless it has that already.
func appendCookie(dst []byte, w *work, b *pool.Backend) []byte {
	name := w.way.pool.Cookie()
	if name == "" || w.wants.Sticky == b {
		return dst
	}
	dst = append(dst, "Set-Cookie: "...)
	dst = append(dst, name...)
	dst = append(dst, '=')
	dst = append(dst, b.Cookie()...)
	dst = append(dst, "; Path=/; HttpOnly; SameSite=Lax"...)
	if w.secure {
		dst = append(dst, "; Secure"...)
	}
	return append(dst, "\r\n"...)
}
