// Package daemon puts the parts of a node together: which there are, in which order they start and end.
package daemon
