// Package pulsetest is a network for beats in memory, for tests under fake time.
package pulsetest
