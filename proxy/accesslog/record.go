package accesslog

import (
	"net/netip"
	"time"
)

// Record is what is told of a request of an HTTP client, or of a TCP session. Its strings may be what a client has sent, with every
// byte in it; those that are empty are left out or written as "-".
type Record struct {
	Time     time.Time      // when it began to arrive
	Peer     netip.AddrPort // where it came from
	Client   netip.Addr     // who asks, if trusted proxies say so; else the same address
	Listener string
	Route    string
	Pool     string
	Backend  string
	TLS      string // version and cipher suite

	// Of a session, all of these are empty.
	Method, Target, Protocol string // Method is empty also of what could not be understood
	Host                     string
	ID                       string // of the request
	Trace                    string // traceparent, as the client sent it
	Status                   int    // that the client got; 0: none; 499: it went away before

	// How long it took; negative: it did not come to that.
	Receive   time.Duration // the header, from its first byte on
	Queue     time.Duration // until there was a backend
	Connect   time.Duration // to it; zero if a connection was there
	FirstByte time.Duration // until its answer began
	Total     time.Duration

	Sent, Received uint64 // bytes to the client, header included; from it, body only (of a session, all)
	Retries        int
	Sample         int    // it stands for so many; 0 and 1 mean itself
	End            string // two letters, as in HAProxy: who ended it, and during what; "--" if all went well
	Reason         string // the same in words, with more of it
	Active, Here   int    // requests and sessions of all listeners, and of this one, at the end
}

// Session reports whether the record is of a TCP session.
func (r *Record) Session() bool { return r.Protocol == "" }

// Failed reports whether something went wrong that is not the client's own doing by the protocol: an error of a server, or an end before time.
func (r *Record) Failed() bool { return r.Status >= 500 || r.End != "--" && r.End != "LR" }

// Format is how lines are written.
type Format string

// The formats.
const (
	// Text has the fields of HAProxy's HTTP and TCP logs in their order, and more as key=value behind them: the default.
	Text Format = "text"
	// JSON is one object a line.
	JSON Format = "json"
)

// Append appends r as a line, with its end.
func (f Format) Append(dst []byte, r *Record) []byte {
	if f == JSON {
		return appendJSON(dst, r)
	}
	return appendText(dst, r)
}
