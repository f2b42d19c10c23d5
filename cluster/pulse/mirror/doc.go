// Package mirror carries beats between two nodes whose direct path is silent, by bouncing them off a third host: an ICMP echo request to that
// host with the other node's address as its source and the beat as its payload. The host sends its echo reply, payload and all, to the other
// node. Whoever answers ping is a mirror, and need not know it.
//
// What comes in this way is handed to the pulse, which believes only what is sealed and new.
package mirror
