// Package accesslog writes a line for each request or session, and never makes one wait for it.
package accesslog
