package accesslog

import (
	"strconv"
	"time"
)

// appendText appends r in the order of HAProxy's option httplog (of sessions: tcplog); where HAProxy has captured cookies and numbers that we do not
// have, there is "-".
func appendText(dst []byte, r *Record) []byte {
	dst = r.Peer.Addr().AppendTo(dst)
	dst = append(dst, ':')
	dst = strconv.AppendUint(dst, uint64(r.Peer.Port()), 10)
	dst = append(dst, " ["...)
	dst = r.Time.UTC().AppendFormat(dst, "02/Jan/2006:15:04:05.000")
	dst = append(dst, "] "...)
	dst = appendWord(dst, r.Listener)
	dst = append(dst, ' ')
	dst = appendWord(dst, r.Pool)
	dst = append(dst, '/')
	dst = appendWord(dst, r.Backend)
	dst = append(dst, ' ')
	if r.Session() {
		dst = appendTimes(dst, r.Queue, r.Connect, r.Total)
	} else {
		dst = appendTimes(dst, r.Receive, r.Queue, r.Connect, r.FirstByte, r.Total)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(r.Status), 10)
	}
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, r.Sent, 10)
	if !r.Session() {
		dst = append(dst, " - -"...)
	}
	dst = append(dst, ' ')
	dst = appendWord(dst, r.End)
	if !r.Session() {
		dst = append(dst, "--"...)
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(r.Active), 10)
	dst = append(dst, '/')
	dst = strconv.AppendInt(dst, int64(r.Here), 10)
	dst = append(dst, "/-/-/"...)
	dst = strconv.AppendInt(dst, int64(r.Retries), 10)
	dst = append(dst, " -/-"...)
	if !r.Session() {
		dst = appendRequest(append(dst, ' '), r)
	}
	return append(appendMore(dst, r), '\n')
}

func appendTimes(dst []byte, times ...time.Duration) []byte {
	for i, t := range times {
		if i > 0 {
			dst = append(dst, '/')
		}
		dst = strconv.AppendInt(dst, millis(t), 10)
	}
	return dst
}

// millis is t in milliseconds, and -1 if it did not come to that.
func millis(t time.Duration) int64 {
	if t < 0 {
		return -1
	}
	return t.Milliseconds()
}

// appendRequest appends the request line in quotes.
func appendRequest(dst []byte, r *Record) []byte {
	if r.Method == "" {
		return append(dst, `"<BADREQ>"`...)
	}
	dst = append(dst, '"')
	dst = appendEscaped(dst, r.Method)
	dst = append(dst, ' ')
	dst = appendEscaped(dst, r.Target)
	dst = append(dst, ' ')
	dst = appendEscaped(dst, r.Protocol)
	return append(dst, '"')
}

// appendMore appends what HAProxy's format has no place for, as key=value.
func appendMore(dst []byte, r *Record) []byte {
	dst = appendPair(dst, "host", r.Host)
	if r.Client.IsValid() && r.Client != r.Peer.Addr() {
		dst = append(dst, " client="...)
		dst = r.Client.AppendTo(dst)
	}
	dst = appendPair(dst, "id", r.ID)
	dst = appendPair(dst, "route", r.Route)
	dst = appendPair(dst, "tls", r.TLS)
	dst = appendPair(dst, "trace", r.Trace)
	dst = append(dst, " in="...)
	dst = strconv.AppendUint(dst, r.Received, 10)
	if r.Sample > 1 {
		dst = append(dst, " sample="...)
		dst = strconv.AppendInt(dst, int64(r.Sample), 10)
	}
	return appendPair(dst, "reason", r.Reason)
}

func appendPair(dst []byte, key, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ' ')
	dst = append(dst, key...)
	dst = append(dst, `="`...)
	return append(appendEscaped(dst, value), '"')
}

// appendWord appends a name of the configuration, which has neither blanks nor quotes.
func appendWord(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '-')
	}
	return appendEscaped(dst, s)
}

const hex = "0123456789abcdef"

// appendEscaped appends s for the inside of quotes: what is not a visible ASCII character or a blank, and '"' and '\', becomes \xHH.
func appendEscaped(dst []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			dst = append(dst, s[from:i]...)
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
			from = i + 1
		}
	}
	return append(dst, s[from:]...)
}
