// Package link knows one network interface: whether frames pass, and which addresses are on it.
package link
