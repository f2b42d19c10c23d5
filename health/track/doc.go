// Package track watches things besides backends on which a node's fitness depends: interfaces, gateways, scripts, processes, files.
package track
