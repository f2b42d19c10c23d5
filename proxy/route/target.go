package route

import "strings"

// Rewrites reports whether the request's target is changed.
func (r *Route) Rewrites() bool { return r.Rewrite.Path != "" || r.Rewrite.Prefix != "" }

// AppendTarget appends the target that the backend is asked for. q is as Find left it for this route.
func (r *Route) AppendTarget(dst []byte, q *Request) ([]byte, *Refusal) {
	if !r.Rewrites() || q.path == "*" {
		return append(dst, q.Target...), nil
	}
	return r.appendTarget(dst, q, r.Rewrite.Path, r.Rewrite.Prefix)
}

// AppendLocation appends the URL that the client is redirected to. q is as Find left it for this route.
func (r *Route) AppendLocation(dst []byte, q *Request) ([]byte, *Refusal) {
	to := r.Redirect
	scheme, host := to.Scheme, to.Host
	if scheme == "" {
		scheme = q.Scheme
	}
	if host == "" {
		host = q.Host
		if scheme != q.Scheme {
			host = withoutPort(host)
		}
	}
	if host == "" {
		return dst, ErrNoHost
	}
	dst = append(dst, scheme...)
	dst = append(dst, "://"...)
	dst = append(dst, host...)
	if q.path == "*" {
		return append(dst, '/'), nil
	}
	return r.appendTarget(dst, q, to.Path, to.Prefix)
}

func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i]
	}
	return host
}

// appendTarget appends the request's path, changed by path or prefix, and its query.
func (r *Route) appendTarget(dst []byte, q *Request, path, prefix string) ([]byte, *Refusal) {
	begin := len(dst)
	switch {
	case path != "" && q.groups != nil:
		dst = expand(dst, path, q)
		// What the groups have matched could make a dot segment where the expression has cut a name.
		in := reader{lenient: q.lenient}
		if _, refused := in.read(string(dst[begin:]), len(dst)); refused != nil {
			return dst, refused
		}
	case path != "":
		dst = append(dst, path...)
	case prefix != "":
		dst = append(dst, strings.TrimSuffix(prefix, "/")...)
		dst = append(dst, q.path[behind(q):]...)
		if len(dst) == begin || dst[begin] != '/' {
			dst = append(dst, 0)
			copy(dst[begin+1:], dst[begin:])
			dst[begin] = '/'
		}
	default:
		dst = append(dst, q.path...)
	}
	return append(dst, q.query...), nil
}

// behind returns where in the path as the client wrote it the prefix that has matched ends, without the slash at its end and with
// the parameters of its last segment.
func behind(q *Request) int {
	prefix := strings.TrimSuffix(q.prefix, "/")
	if prefix == "" {
		return 0
	}
	in := reader{lenient: q.lenient}
	n, _ := in.read(q.path, len(prefix)) // Find has read it without refusing it
	for n < len(q.path) {
		c, size, _ := in.char(q.path[n:])
		if c == '/' {
			break
		}
		n += size
	}
	return n
}

// expand appends template with $0..$9 replaced by what the groups have matched.
func expand(dst []byte, template string, q *Request) []byte {
	for i := 0; i < len(template); i++ {
		c := template[i]
		if c != '$' || i+1 == len(template) || template[i+1] < '0' || template[i+1] > '9' {
			dst = append(dst, c)
			continue
		}
		i++
		if n := 2 * int(template[i]-'0'); n+1 < len(q.groups) && q.groups[n] >= 0 {
			dst = appendEscaped(dst, string(q.read[q.groups[n]:q.groups[n+1]]))
		}
	}
	return dst
}
