// Command tandem-demo builds a pair in network namespaces on this machine, breaks its leader in four ways, and shows what a client saw.
//
//	tandem-demo [-tandem bin/tandem] [-keep]
//
// It runs two nodes with the real binary, two backends, a client that asks 200 times a second and an observer that asks the segment who has
// the VIP, all in namespaces without names, which end with the process. It needs root or a user namespace; without either it asks for sudo.
// Exit status: 0 every fault was survived, 1 one was not, 2 wrong use, 3 this machine cannot run it, 130 interrupted.
package main
