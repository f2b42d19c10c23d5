// Package api is what the daemon says over its socket: the types, the client that asks and the text that people read.
package api
