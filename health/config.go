package health

import (
	"net/netip"
	"time"
)

// Type names a way to probe.
type Type string

// The ways to probe.
const (
	TCP  Type = "tcp"
	HTTP Type = "http"
	None Type = "none" // never probed: the state stays "unchecked", which counts as available
)

// Config describes how the backends of one pool are probed. Zero values mean the defaults.
type Config struct {
	Type         Type
	Interval     time.Duration // between probes; default 1 s
	FastInterval time.Duration // between probes while a change is on its way; default Interval/4, at least 100 ms
	Timeout      time.Duration // of one probe, connect to verdict; default 500 ms; at most Interval
	Rise         int           // consecutive successes to come up; default 2
	Fall         int           // consecutive failures to go down; default 3
	Port         uint16        // zero: the backend's

	// The rest is for HTTP.
	Method        string        // default GET
	Path          string        // default /
	Host          string        // default: the backend's address
	Expect        []StatusRange // default 200-399
	ExpectBody    string        // substring looked for in the first 64 KiB; empty: not looked at
	TLS           bool
	TLSServerName string // default: Host
	TLSInsecure   bool   // skip verification of the certificate
	TLSCAFile     string // PEM bundle; default: the system's
}

// StatusRange is an inclusive range of HTTP statuses.
type StatusRange struct{ From, To int }

// Target is one backend to probe.
type Target struct {
	Pool, Backend string
	Address       netip.AddrPort
	Config        Config
	// Greeting is what a probe sends first; nil: nothing. For backends that want a PROXY header.
	Greeting []byte
}
