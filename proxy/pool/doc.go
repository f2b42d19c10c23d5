// Package pool keeps the backends of a pool, which of them are available, and picks one for each connection.
package pool
