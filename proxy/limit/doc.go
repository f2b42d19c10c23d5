// Package limit bounds what clients may use: connections and requests for each address, descriptors for all.
package limit
