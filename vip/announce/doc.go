// Package announce speaks the protocols by which a segment learns where an address is: ARP, neighbour discovery, and a knock by TCP.
package announce
