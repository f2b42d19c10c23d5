// Package systemd tells the service manager how the daemon fares, and keeps the unit files.
package systemd
