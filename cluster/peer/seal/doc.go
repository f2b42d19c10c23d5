// Package seal proves that a message between two nodes comes from somebody who has the cluster's key.
package seal
