// Package sim runs whole daemons in memory, under fake time: the code of daemon.Run on a kernel, a network and clients that are simulated.
//
// What is real: everything that daemon.RunOn assembles (election, pulse, streams, memberlist, keeper, proxy, probes, admin).
// What is simulated: the kernel of a host with its addresses, lifetimes and gate (vip/viptest), ARP, an Ethernet segment with a switch that learns, UDP, TCP
// connections (in order, retransmitted, ended by EOF, reset or time-out), and clients with a neighbour cache by Linux's rules.
//
// A bubble of testing/synctest has one clock, so that a process cannot be stopped inside it. A pause therefore blocks the process wherever it touches its
// host: its beat thread, each turn of its election, the keeper's changes of addresses, all that it receives; nothing leaves it.
// What runs in between on its own goroutines (memberlist's timers, the keeper's own look at the lease) goes on thinking, and cannot act.
//
// A seed fixes the faults, their times, and the fate of every frame, but not the order in which Go runs goroutines that are ready
// at the same instant: a failure that needs such a race may need a few runs of its seed.
package sim
