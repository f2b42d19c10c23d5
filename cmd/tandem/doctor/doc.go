// Package doctor looks whether a host has everything that a failover needs.
package doctor
