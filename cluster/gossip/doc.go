// Package gossip keeps the membership: who is in the cluster, by hashicorp/memberlist behind a snapshot.
package gossip
