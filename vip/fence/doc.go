// Package fence shuts a node up in the kernel: what may be answered for the virtual addresses passes only while a lease is renewed.
package fence
