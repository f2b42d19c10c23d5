// Package http2 ends HTTP/2 and presents each stream of a client as a connection on which one HTTP/1.1 request is made.
package http2
