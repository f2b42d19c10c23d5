// Package health probes backends and tells, with rise and fall, which of them are up.
//
// A backend begins unchecked, which counts as available. Its first success makes it up at once; failures count
// from the first probe on, and Fall of them in a row make it down. From then on Rise successes in a row bring it
// up and Fall failures in a row bring it down; one result of the other kind starts the count again. While a count
// is under way, probes come every FastInterval.
//
// Every node probes every backend all the time, whoever leads: a standby that takes over knows whom to send its
// first client to.
package health
