// Package byhand keeps what operators set at run time, the same on all nodes and over restarts.
package byhand
