// Package quorum is the rule of the votes: who may be given a lease, and who has been given one. It is pure: no I/O, clock, goroutine, logger,
// randomness.
//
// A node that would lead, or does, asks in each of its beats, and numbers its questions by its beats: a round. A voter grants its vote to one
// node at a time, for a lease that begins with each question, and tells in its own beats whom it has granted which round. Who has the grants of a majority for
// one round may hold until the lease, counted from before that round's question was sent, is over by the slowest clock. Who does not hold any more says so,
// and its voters are free at once.
//
// Why this keeps two from holding at any instant, and what has to be true for it, is in ../adr/0003-quorum.md.
package quorum
