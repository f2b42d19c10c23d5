// Package command runs external commands without this process's privileges, and leaves nothing of them behind.
package command
