// Package cluster runs the election loop: the only goroutine that decides whether this node holds the VIP.
package cluster
