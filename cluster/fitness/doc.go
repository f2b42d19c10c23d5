// Package fitness judges whether this node may lead, and how well compared with others. It is pure.
package fitness
