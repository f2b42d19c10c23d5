// Package notify tells an operator's commands what this node has become, one after the other and in order.
package notify
