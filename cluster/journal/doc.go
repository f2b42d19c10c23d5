// Package journal keeps what a node decided and noticed, with the inputs, so that "why did it move?" has an answer afterwards.
package journal
