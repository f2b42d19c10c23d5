// Command nemesis breaks a running pair at random, for a long time, and judges it by what others saw.
//
//	make nemesis                      3 minutes
//	make nemesis DURATION=8h          a night
//	make nemesis SEED=42              the same faults again
//
// Two real daemons run in network namespaces, a client opens a connection through the VIP every 5 ms, an observer asks every 5 ms who has the
// VIP. In between, one fault or two at a time: nodes are killed, stopped, paused, cut off, cut apart, made deaf or mute, starved, robbed of
// their address or their rules, and the wall clock jumps. After each episode everything is mended, and within a few seconds there must
// be one holder that serves.
//
// What each fault may cost is in kinds.go: the longest blackout, and how long two may answer. The seed is printed first; whoever was in the
// middle of what when something went wrong is printed with it, and the logs of both nodes are kept.
package main
