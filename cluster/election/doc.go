// Package election decides, from what a node sees, whether it should hold the VIP. It is pure: no I/O, no clock, no
// goroutine, no logger, no randomness.
package election
