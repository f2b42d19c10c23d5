// Package peer keeps one authenticated stream to each other node, whose end means that the other process is gone.
package peer
