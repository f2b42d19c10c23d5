package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// object appends the members of a JSON object.
type object struct {
	dst  []byte
	some bool
}

func (o *object) key(k string) {
	if o.some {
		o.dst = append(o.dst, ',')
	}
	o.some = true
	o.dst = append(o.dst, '"')
	o.dst = append(o.dst, k...)
	o.dst = append(o.dst, `":`...)
}

func (o *object) text(k, v string) {
	if v == "" {
		return
	}
	o.key(k)
	o.dst = appendJSONString(o.dst, v)
}

func (o *object) number(k string, n int64) {
	o.key(k)
	o.dst = strconv.AppendInt(o.dst, n, 10)
}

// took appends a duration in milliseconds with three decimals, unless it did not come to that.
func (o *object) took(k string, d time.Duration) {
	if d < 0 {
		return
	}
	o.key(k)
	o.dst = strconv.AppendFloat(o.dst, float64(d.Microseconds())/1000, 'f', 3, 64)
}

func appendJSON(dst []byte, r *Record) []byte {
	o := object{dst: append(dst, '{')}
	o.key("time")
	o.dst = append(o.dst, '"')
	o.dst = r.Time.UTC().AppendFormat(o.dst, "2006-01-02T15:04:05.000000Z07:00")
	o.dst = append(o.dst, '"')
	o.key("client")
	o.dst = append(o.dst, '"')
	if r.Client.IsValid() {
		o.dst = r.Client.AppendTo(o.dst)
	} else {
		o.dst = r.Peer.Addr().AppendTo(o.dst)
	}
	o.dst = append(o.dst, '"')
	o.key("peer")
	o.dst = append(o.dst, '"')
	o.dst = r.Peer.AppendTo(o.dst)
	o.dst = append(o.dst, '"')
	o.text("listener", r.Listener)
	o.text("route", r.Route)
	o.text("pool", r.Pool)
	o.text("backend", r.Backend)
	o.text("tls", r.TLS)
	o.text("protocol", r.Protocol)
	o.text("method", r.Method)
	o.text("target", r.Target)
	o.text("host", r.Host)
	o.text("id", r.ID)
	o.text("traceparent", r.Trace)
	if !r.Session() {
		o.number("status", int64(r.Status))
		o.took("receive_ms", r.Receive)
	}
	o.took("queue_ms", r.Queue)
	o.took("connect_ms", r.Connect)
	if !r.Session() {
		o.took("first_byte_ms", r.FirstByte)
	}
	o.took("total_ms", r.Total)
	o.number("sent", int64(r.Sent))
	o.number("received", int64(r.Received))
	o.number("retries", int64(r.Retries))
	o.text("end", r.End)
	o.text("reason", r.Reason)
	if r.Sample > 1 {
		o.number("sample", int64(r.Sample))
	}
	o.number("active", int64(r.Active))
	o.number("active_here", int64(r.Here))
	return append(o.dst, "}\n"...)
}

// appendJSONString appends s in quotes. Bytes that are no UTF-8 become U+FFFD; control characters, those of C1 and the separators of lines
// included, are escaped, so that no terminal and no reader of lines obeys them.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\':
				dst = append(dst, '\\', c)
			case c < ' ' || c == 0x7f:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			default:
				dst = append(dst, c)
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case r < 0xa0 || r == 0x2028 || r == 0x2029:
			dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return append(dst, '"')
}
