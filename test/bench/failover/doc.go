// Command failover measures how Tandem, and keepalived with HAProxy, survive the same faults in the same lab.
//
//	make bench-failover                          everything that has not been measured yet
//	make bench-failover FAULT=plug,sigterm RUNS=9
//	make bench-failover FRESH=1                  measure again what is there
//
// Each run is a line of JSON in bench-results/failover.jsonl: a rerun measures only what is missing, so that an interrupted measurement goes
// on where it stopped. The table shows medians and, in parentheses, the worst run.
//
// What is measured: a client opens a fresh connection every 2 ms, whatever became of the ones before, and gives each 900 ms. A complete and
// correct answer is a success. The blackout is the longest time between the starts of consecutive successes, 2 ms at best; beside it stands
// the same by their ends. "Dual" is the longest time in which an observer's ARP question was answered by two hosts.
package main
