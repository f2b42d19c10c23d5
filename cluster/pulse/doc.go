// Package pulse sends and receives the small datagrams by which nodes know within milliseconds who is silent.
//
// One thread does all of it: it sends a beat every few milliseconds, and at once when something has changed that others decide by; it receives, with the
// kernel's receive times; and it measures how late it is itself, so that its own sleep is not taken for the silence of others. What it knows is read as a
// snapshot, at any time, without a lock.
//
// Beats are sealed with the cluster's key. A replay, from before a restart too, changes nothing: see table.
package pulse
