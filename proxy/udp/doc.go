// Package udp forwards datagrams between clients and the backends of a pool, and their answers back.
package udp
