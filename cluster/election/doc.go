// Package election decides, from what a node sees, whether it should hold the VIP. It is pure: no I/O, no clock, no
// goroutine, no logger, no randomness.
//
// The loop that uses it looks (snapshots into a View), asks Decide, acts, and asks again when something changed and at
// Decision.Wake at the latest. It feeds back what was decided: Wish, WishAt, Term, Newest, and the Memo unchanged.
//
// The rules and their limits are in adr/0001-pair-mode.md. Stories that show them are in testdata; a model of hosts and
// networks plays random faults against them.
package election
