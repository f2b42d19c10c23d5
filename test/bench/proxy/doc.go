// Command proxy measures the forwarding of Tandem beside HAProxy's on this machine, in turn in one run: the proxy has
// one core, load and backend the other. CPU per request or per byte decides; rates stand beside it.
package main
