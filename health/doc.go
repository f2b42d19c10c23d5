// Package health probes backends and tells, with rise and fall, which of them are up.
package health
