// Package admin answers questions about the daemon over a Unix socket.
package admin
