// Command proxy measures the forwarding of Tandem beside HAProxy's, nginx's and Caddy's on this machine, in turn in one run: the proxy
// has one core, load and backend the other. CPU per request or per byte decides; rates stand beside it. It prints what is wanted beside
// what was seen, and ends with status 1 where Tandem misses it. Results are kept, so that an interrupted run goes on where it ended.
package main
