// Package proxy listens for clients and forwards their connections to the backends of a pool.
package proxy
