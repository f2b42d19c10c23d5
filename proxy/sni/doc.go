// Package sni reads the server name out of the first message of a TLS client, and finds things by such names.
package sni
