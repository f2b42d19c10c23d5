package proxy

import (
	"net/netip"

	"github.com/tandem-lb/tandem/proxy/http1"
)

// appendForwarded appends what tells the backend about the client. What a trusted proxy has said is extended;
// what anyone else has said is dropped.
func (c *client) appendForwarded(dst []byte, r *http1.Request) []byte {
	if c.trusted {
		return c.extendForwarded(dst, r)
	}
	dst = append(dst, "X-Forwarded-For: "...)
	dst = c.peer.Addr().AppendTo(dst)
	dst = append(dst, "\r\n"...)
	return appendForwardedHost(c.appendForwardedProto(dst), r)
}

func (c *client) appendForwardedProto(dst []byte) []byte {
	if c.https {
		return append(dst, "X-Forwarded-Proto: https\r\n"...)
	}
	return append(dst, "X-Forwarded-Proto: http\r\n"...)
}

func appendForwardedHost(dst []byte, r *http1.Request) []byte {
	if len(r.Authority) == 0 {
		return dst
	}
	dst = append(dst, "X-Forwarded-Host: "...)
	dst = append(dst, r.Authority...)
	return append(dst, "\r\n"...)
}

func (c *client) extendForwarded(dst []byte, r *http1.Request) []byte {
	dst, _ = appendValues(append(dst, "X-Forwarded-For: "...), r, http1.ForwardedFor)
	dst = c.peer.Addr().AppendTo(dst)
	dst = append(dst, "\r\n"...)
	if with, found := appendValues(append(dst, "Forwarded: "...), r, http1.Forwarded); found {
		dst = appendForwardedBy(with, c.peer.Addr())
	}
	proto := r.AppendFields(dst, http1.Set(http1.ForwardedProto))
	if len(proto) == len(dst) {
		proto = c.appendForwardedProto(dst)
	}
	dst = proto
	host := r.AppendFields(dst, http1.Set(http1.ForwardedHost))
	if len(host) == len(dst) {
		host = appendForwardedHost(dst, r)
	}
	return r.AppendFields(host, http1.Set(http1.ForwardedMore))
}

// appendValues appends the values of all fields of a kind, each with a comma behind it.
func appendValues(dst []byte, r *http1.Request, kind http1.Kind) ([]byte, bool) {
	found := false
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Kind == kind && len(r.Value(f)) > 0 {
			dst = append(dst, r.Value(f)...)
			dst = append(dst, ", "...)
			found = true
		}
	}
	return dst, found
}

// appendForwardedBy appends a as RFC 7239 wants it.
func appendForwardedBy(dst []byte, a netip.Addr) []byte {
	if a.Is4() {
		return append(a.AppendTo(append(dst, "for="...)), "\r\n"...)
	}
	return append(a.AppendTo(append(dst, `for="[`...)), "]\"\r\n"...)
}
