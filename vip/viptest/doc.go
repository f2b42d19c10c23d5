// Package viptest is a host in memory for a keeper of virtual addresses: a link, its addresses with their lifetimes, a gate, and the neighbours on the wire.
package viptest
