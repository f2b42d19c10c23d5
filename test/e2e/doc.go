// Package e2e tells stories of pairs of real binaries in network namespaces, as a client and an observer of the segment saw them.
//
// The binary is built once, with the race detector; TANDEM_BINARY names another one to be tested instead. The tests need network namespaces,
// that is root; without them they are skipped, or fail if TANDEM_NEED_ROOT=1. They run one after the other: a story that shares its two cores
// with another one tells about that.
//
// Limits are generous, for a busy machine and a slow binary: what is fast enough is measured elsewhere, in test/bench.
package e2e
