// Package certs keeps certificates that were read from files, and reads them again when the files change.
package certs
