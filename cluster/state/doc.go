// Package state keeps on disk the little that must survive a restart of the process.
package state
