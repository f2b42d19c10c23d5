package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// result is what one probe found out.
type result struct {
	ok     bool
	reason string // why, in a few words; bounded and printable
	local  bool   // this host could not make the probe: says nothing about the backend
	late   bool   // it failed, and so long after its timeout that this host must have slept
	took   time.Duration
}

func passed(reason string) result { return result{ok: true, reason: printable(reason)} }
func failed(reason string) result { return result{reason: printable(reason)} }

// failure makes a result of an error in one phase of a probe ("connect", "tls handshake", "answer" …).
func failure(phase string, timeout time.Duration, err error) result {
	var errno syscall.Errno
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return failed(fmt.Sprintf("timeout after %v (%s)", timeout, phase))
	case errors.As(err, &errno) && ours(errno):
		return result{reason: fmt.Sprintf("%s: %v on this host", phase, errno), local: true}
	case errors.As(err, &errno):
		return failed(fmt.Sprintf("%s: %v", phase, errno))
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe):
		return failed(phase + ": the backend closed the connection")
	}
	var notTLS tls.RecordHeaderError
	if errors.As(err, &notTLS) {
		return failed(phase + ": the backend does not speak TLS")
	}
	return failed(fmt.Sprintf("%s: %v", phase, err))
}

// ours holds for errors that tell of this host's state, not of the backend's.
func ours(errno syscall.Errno) bool {
	return slices.Contains([]syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL,
	}, errno)
}

// maxReason bounds a reason: parts of it come from the backend.
const maxReason = 200

// printable makes text from the network fit for logs and terminals: one line, no control characters, bounded.
func printable(s string) string {
	if len(s) > maxReason {
		s = s[:maxReason] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
