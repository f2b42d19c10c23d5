// Package peer keeps one authenticated stream to each other node, whose end means that the other process is gone.
//
// The stream is idle, but for a ping now and then and the messages of a handover. When the other process dies, its kernel closes the stream, and
// State.BrokeAt is set within a millisecond. Any other end is announced on the stream first, so that it is not taken for a crash.
package peer
