package health

import (
	"net/netip"
	"time"
)

// Type names a way to probe.
type Type string

// The ways to probe.
const (
	TCP   Type = "tcp"   // a connection opens and, if so configured, answers
	TLS   Type = "tls"   // a TLS handshake succeeds
	HTTP  Type = "http"  // a request is answered as expected
	HTTPS Type = "https" // HTTP by TLS
	GRPC  Type = "grpc"  // grpc.health.v1.Health says SERVING
	Exec  Type = "exec"  // a program ends with status 0
	None  Type = "none"  // never probed: the state stays "unchecked", which counts as available
)

// Config describes how the backends of one pool are probed. Zero values mean the defaults.
type Config struct {
	Type         Type
	Interval     time.Duration // between probes; default 1 s, for Exec 5 s
	FastInterval time.Duration // between probes while a change is on its way; default Interval/4, at least 100 ms
	Timeout      time.Duration // of one probe, connect to verdict; default 500 ms, for Exec 2 s; at most Interval
	Rise         int           // consecutive successes to come up; default 2
	Fall         int           // consecutive failures to go down; default 3
	Port         uint16        // zero: the backend's

	// Send is what a backend is sent, and Receive what its answer must contain within the first 4 KiB; for TCP and TLS.
	Send, Receive string
	Service       string   // that is asked for; empty: the whole server. For GRPC
	Command       []string // the program, as an absolute path, and its arguments; for Exec
	RunAs         string   // who runs it, as command.Command.User

	// The rest is for HTTP and HTTPS; Host also for GRPC, and what begins with TLS for whatever is probed by it.
	Method        string        // default GET
	Path          string        // default /
	Host          string        // default: the backend's address
	Expect        []StatusRange // default 200-399
	ExpectBody    string        // substring looked for in the first 64 KiB; empty: not looked at
	Headers       []Header      // further fields of the request
	TLS           bool
	TLSServerName string // default: Host
	TLSInsecure   bool   // skip verification of the certificate
	TLSCAFile     string // PEM bundle; default: the system's
	// TLSCertFile and TLSKeyFile are shown to a backend that asks for a client's certificate; PEM, read each time. Empty: nothing.
	TLSCertFile, TLSKeyFile string
}

// Header is a field of a request.
type Header struct{ Name, Value string }

// StatusRange is an inclusive range of HTTP statuses.
type StatusRange struct{ From, To int }

// Target is one backend to probe.
type Target struct {
	Pool, Backend string
	Address       netip.AddrPort
	Config        Config
	// Greeting is what a probe sends first; nil: nothing. For backends that want a PROXY header.
	Greeting []byte
	// Host is the name of the backend with its port, if it is known by name instead of Address: see Locate.
	Host string
}
