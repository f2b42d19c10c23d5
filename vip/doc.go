// Package vip makes the wish to hold the virtual addresses a fact on the link.
package vip
