// Package resolve keeps the addresses of host names up to date: it asks name servers again when an answer's time to live is over, and keeps the last good answer.
package resolve
