// Package mux asks a backend many things at a time over connections of HTTP/2, and presents each as a connection of HTTP/1.1.
package mux
