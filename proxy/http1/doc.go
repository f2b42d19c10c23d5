// Package http1 reads HTTP/1.0 and 1.1 messages strictly: what two readers could understand differently is an
// error, never repaired. It does no I/O and keeps no copies; results point into the caller's buffer.
package http1
