// Package pulse sends and receives the small datagrams by which nodes know within milliseconds who is silent.
package pulse
