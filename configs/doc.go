// Package configs reads the configuration file and tells everything that is wrong with it at once.
package configs
