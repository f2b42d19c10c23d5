package mux

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"
)

var (
	// ErrUnseen says that the backend has done nothing about the request, which may be sent again, whatever it is.
	ErrUnseen = errors.New("backend did not take the request")
	// ErrMalformed says that the answer breaks the rules.
	ErrMalformed = errors.New("backend's answer is malformed")
	// ErrSilent says that a backend has not answered a ping.
	ErrSilent = errors.New("backend does not answer pings")
	// ErrFull says that all connections that there may be have as many streams as the backend lets them have.
	ErrFull = errors.New("as many connections and streams as there may be")

	errLeaving  = fmt.Errorf("%w: it is closing the connection", ErrUnseen)
	errNotHTTP2 = errors.New("backend does not speak HTTP/2")
	errClosed   = errors.New("connection was closed")
)

// ResetError says that the backend has reset the stream, and why.
type ResetError struct{ Code http2.ErrCode }

func (e *ResetError) Error() string { return "backend reset the stream (" + e.Code.String() + ")" }

// Is makes a refused stream an ErrUnseen (RFC 9113, 8.7).
func (e *ResetError) Is(target error) bool {
	return target == ErrUnseen && e.Code == http2.ErrCodeRefusedStream
}

// LostError says why the connection has ended under a request that the backend may have seen.
type LostError struct{ Err error }

func (e *LostError) Error() string { return "connection to the backend: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Err }
