package proxy

import (
	"errors"
	"strconv"
	"time"

	"golang.org/x/net/http2"

	"github.com/tandem-lb/tandem/proxy/http1"
	"github.com/tandem-lb/tandem/proxy/mux"
)

// isGRPC reports whether a request is one of gRPC, whose errors are told in fields instead of pages.
func isGRPC(r *http1.Request) bool {
	const kind = "application/grpc"
	v := r.Find("content-type")
	return len(v) >= len(kind) && string(v[:len(kind)]) == kind && (len(v) == len(kind) || v[len(kind)] == '+' || v[len(kind)] == ';')
}

// patience is how long either side may be silent within a body. Streams of gRPC are silent for as long as they like, as websockets are.
func (w *work) patience() time.Duration {
	if w.grpc {
		return max(w.way.limits.body, w.way.limits.tunnel)
	}
	return w.way.limits.body
}

// Codes of gRPC (https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
const (
	grpcCancelled        = 1
	grpcUnknown          = 2
	grpcPermissionDenied = 7
	grpcExhausted        = 8
	grpcUnimplemented    = 12
	grpcInternal         = 13
	grpcUnavailable      = 14
	grpcUnauthenticated  = 16
)

// grpcStatus is what gRPC calls the status of an answer of our own, by its table of statuses; that a message is too large has a code of its own.
func (w *work) grpcStatus(status int) int {
	switch {
	case w.grpcCode != 0:
		return w.grpcCode
	case status == 400:
		return grpcInternal
	case status == 401:
		return grpcUnauthenticated
	case status == 403:
		return grpcPermissionDenied
	case status == 404:
		return grpcUnimplemented
	case status == 413:
		return grpcExhausted
	case status == 429 || status >= 502 && status <= 504:
		return grpcUnavailable
	}
	return grpcUnknown
}

// grpcReset is what gRPC calls a reset, by its table of error codes.
func grpcReset(err error) int {
	r, ok := errors.AsType[*mux.ResetError](err)
	switch {
	case !ok, r.Code == http2.ErrCodeRefusedStream:
		return grpcUnavailable
	case r.Code == http2.ErrCodeCancel:
		return grpcCancelled
	case r.Code == http2.ErrCodeEnhanceYourCalm:
		return grpcExhausted
	case r.Code == http2.ErrCodeInadequateSecurity:
		return grpcPermissionDenied
	}
	return grpcInternal
}

// appendGRPCAnswer appends a whole answer that is only trailers.
func appendGRPCAnswer(dst []byte, code int, reason string, last bool) []byte {
	dst = append(dst, "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n"...)
	dst = appendGRPCStatus(dst, code, reason)
	if last {
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

// appendGRPCTrailers ends an answer that cannot be passed on whole.
func appendGRPCTrailers(dst []byte, err error) []byte {
	dst = append(dst, "0\r\n"...)
	return append(appendGRPCStatus(dst, grpcReset(err), err.Error()), "\r\n"...)
}

// appendGRPCStatus appends the fields of a status. A reason has no '%' and nothing outside of ASCII.
func appendGRPCStatus(dst []byte, code int, reason string) []byte {
	dst = append(dst, "Grpc-Status: "...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, "\r\nGrpc-Message: "...)
	return append(append(dst, reason...), "\r\n"...)
}

// lost tells that a request could not be answered and cannot be sent again. err is what the last backend has done.
func (c *client) lost(w *work, bodyRead bool, err error, reason string) bool {
	if r, ok := errors.AsType[*mux.ResetError](err); ok {
		reason = r.Error()
		if w.grpc {
			w.grpcCode = grpcReset(err)
		}
	}
	return c.fail(w, bodyRead, 502, reason)
}
