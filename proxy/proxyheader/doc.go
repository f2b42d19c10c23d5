// Package proxyheader reads and writes the PROXY header, versions 1 and 2, by which a proxy says where a connection really came from.
package proxyheader
