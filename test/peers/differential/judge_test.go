package differential

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The judge reads requests as RFC 9112 has them, with nothing forgiven. It shares nothing with Tandem's parser.

// meant is a request about which all readers agree.
type meant struct {
	method, target string
	body           string
	closes         bool
}

var (
	requestLine = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21\x22\x24-\x7e]+) HTTP/1\\.([01])$")
	fieldLine   = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t \x21-\x7e\\x{80}-\\x{10FFFF}]*)$")
	hostValue   = regexp.MustCompile(`^([A-Za-z0-9._~!$&'()*+;=%-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?$`)
	chunkLine   = regexp.MustCompile("^([0-9A-Fa-f]{1,16})((;|[ \t]*;)[\t \x21-\x7e\\x{80}-\\x{10FFFF}]*)?$")
	digits      = regexp.MustCompile(`^[0-9]{1,18}$`)
)

// judge returns the requests in raw up to the first that is not as it should be, and what is wrong with that one.
func judge(raw string) (all []meant, wrong string) {
	rest := raw
	for rest != "" {
		rest = strings.TrimPrefix(rest, "\r\n") // one empty line before a request is forgiven by RFC 9112, 2.2
		if rest == "" {
			return all, ""
		}
		m, left, wrong := one(rest)
		if wrong != "" {
			return all, wrong
		}
		all = append(all, m)
		if rest = left; m.closes {
			return all, ""
		}
	}
	return all, ""
}

// line cuts a line that ends with CRLF and has no other control characters that end lines.
func line(s string) (l, rest string, ok bool) {
	l, rest, ok = strings.Cut(s, "\r\n")
	return l, rest, ok && !strings.ContainsAny(l, "\r\n")
}

func one(s string) (m meant, rest, wrong string) {
	l, rest, ok := line(s)
	parts := requestLine.FindStringSubmatch(l)
	if !ok || parts == nil {
		return m, "", "request line"
	}
	m.method, m.target = parts[1], parts[2]
	old := parts[3] == "0"
	fields, rest, wrong := fieldLines(rest)
	if wrong != "" {
		return m, "", wrong
	}
	hosts, lengths, codings := fields["host"], fields["content-length"], fields["transfer-encoding"]
	switch {
	case len(hosts) > 1 || len(hosts) == 0 && !old:
		return m, "", "number of Hosts"
	case len(hosts) == 1 && !hostValue.MatchString(hosts[0]):
		return m, "", "Host"
	case strings.Contains(m.target, "://") && !strings.HasPrefix(m.target, "/") && (len(hosts) == 0 || !sameHost(m.target, hosts[0])):
		return m, "", "target and Host differ"
	case len(codings) > 0 && (old || len(lengths) > 0 || len(codings) > 1 || !strings.EqualFold(codings[0], "chunked")):
		return m, "", "coding"
	case len(lengths) > 1 || len(lengths) == 1 && !digits.MatchString(lengths[0]):
		return m, "", "length"
	}
	connection := strings.ToLower(strings.Join(fields["connection"], ","))
	m.closes = strings.Contains(connection, "close") || old && !strings.Contains(connection, "keep-alive")
	switch {
	case len(codings) > 0:
		m.body, rest, wrong = chunkedBody(rest)
	case len(lengths) > 0:
		n, _ := strconv.Atoi(lengths[0])
		if n > len(rest) {
			return m, "", "body is cut short"
		}
		m.body, rest = rest[:n], rest[n:]
	}
	return m, rest, wrong
}

func sameHost(target, host string) bool {
	_, after, _ := strings.Cut(target, "://")
	if i := strings.IndexAny(after, "/?"); i >= 0 {
		after = after[:i]
	}
	return strings.EqualFold(after, host)
}

func fieldLines(s string) (fields map[string][]string, rest, wrong string) {
	fields = map[string][]string{}
	for {
		l, rest, ok := line(s)
		if !ok {
			return nil, "", "end of a line"
		}
		if l == "" {
			return fields, rest, ""
		}
		f := fieldLine.FindStringSubmatch(l)
		if f == nil {
			return nil, "", fmt.Sprintf("field %.20q", l)
		}
		name := strings.ToLower(f[1])
		fields[name] = append(fields[name], strings.Trim(f[2], " \t"))
		s = rest
	}
}

func chunkedBody(s string) (body, rest, wrong string) {
	for {
		l, rest, ok := line(s)
		size := chunkLine.FindStringSubmatch(l)
		if !ok || size == nil {
			return body, "", "chunk size"
		}
		n, err := strconv.ParseUint(size[1], 16, 62)
		if err != nil {
			return body, "", "chunk size"
		}
		if n == 0 {
			_, rest, wrong := fieldLines(rest)
			return body, rest, wrong
		}
		if n > uint64(len(rest)) {
			return body, "", "body is cut short"
		}
		body += rest[:n]
		var end bool
		if s, end = strings.CutPrefix(rest[n:], "\r\n"); !end {
			return body, "", "end of a chunk"
		}
	}
}
