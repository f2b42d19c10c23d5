package gossip

import (
	"strconv"
	"strings"
)

// What memberlist knows of a suspicion, a wrong key, a wrong label or another version it tells only in its own log lines
// and in the text of join errors (v0.7.0; net.go, state.go). This file reads them; the tests hold it against the real thing.

// finding is what one line of memberlist's log, or one join error, means.
type finding struct {
	cause  cause  // zero: nothing that an operator must know
	node   string // the node that the line is about, if it names one
	from   string // the address that it came from, as memberlist prints it
	reason string
	// suspected, failed and udpLost are about node.
	suspected, failed, udpLost bool
}

// readLine reads one line of memberlist's log.
func readLine(line string) finding {
	_, text, ok := strings.Cut(line, "memberlist: ")
	if !ok {
		return finding{}
	}
	if name, ok := between(text, "Suspect ", " has failed, no acks received"); ok {
		return finding{node: name, suspected: true}
	}
	if name, ok := between(text, "Marking ", " as failed, suspect timeout reached"); ok {
		return finding{node: name, failed: true}
	}
	if name, ok := between(text, "Was able to connect to ", " over TCP but UDP probes failed"); ok {
		return finding{node: name, udpLost: true}
	}
	from := ""
	if i := strings.LastIndex(text, "from="); i >= 0 {
		from = text[i+len("from="):]
	}
	if _, rest, ok := strings.Cut(text, "with unacceptable label "); ok {
		label, err := strconv.QuotedPrefix(rest)
		if err != nil || label == `""` {
			return finding{} // no tandem: theirs are never empty. A connection that ends before its first byte is told so, too
		}
		return finding{cause: wrongName, from: from, reason: "its cluster name is " + label}
	}
	for _, p := range []string{"Decrypt packet failed: ", "failed to receive: ", "Failed push/pull merge: "} {
		if rest, ok := strings.CutPrefix(text, p); ok {
			f := readError(rest)
			if f.cause == none && p == "Decrypt packet failed: " {
				f = finding{cause: wrongKey, reason: "it sent a packet that is not encrypted"}
			}
			f.from = from
			return f
		}
	}
	return finding{}
}

// readError reads the text of an error of memberlist's stream code, as the receiver logs it or as Join returns it.
func readError(text string) finding {
	// remote is true when the other side sent the error back: then "we" and "they" change places.
	remote := strings.Contains(text, "remote error: ")
	switch {
	case strings.Contains(text, "no installed keys could decrypt"):
		return finding{cause: wrongKey, reason: "its key is another one"}
	case strings.Contains(text, "encryption is configured but remote state is not encrypted") && !remote,
		strings.Contains(text, "remote state is encrypted and encryption is not configured") && remote:
		return finding{cause: wrongKey, reason: "it has no key, this node has one"}
	case strings.Contains(text, "remote state is encrypted and encryption is not configured"),
		strings.Contains(text, "encryption is configured but remote state is not encrypted"):
		return finding{cause: wrongKey, reason: "it has a key, this node has none"}
	}
	if i := strings.Index(text, "protocol version ("); i >= 0 && strings.Contains(text[i:], "is incompatible") {
		text, _, _ = strings.Cut(text, " from=")
		// The node named there may be either of the two.
		return finding{cause: otherVersion, reason: "gossip: " + text[max(0, strings.Index(text, "Node '")):]}
	}
	return finding{}
}

const closedByPeer = "the peer closed the connection: see its log; the cluster names may differ"

// joinReason says in few, stable words why a join failed, so that only a change of the reason is logged again. silent
// means that nobody is there, or nothing comes back from there.
func joinReason(text string) (reason string, silent bool) {
	for _, r := range []struct {
		part, say string
		silent    bool
	}{
		{"connection refused", "connection refused: tandem does not run there, or listens on another address", true},
		{"timeout", "no answer: the host is off, cut off, or a firewall drops TCP", true},
		{"deadline exceeded", "no answer: the host is off, cut off, or a firewall drops TCP", true},
		{"no route to host", "no route to host: the host is off, or a firewall rejects", true},
		{"network is unreachable", "network is unreachable: this host has no route to it", true},
		{"connection reset", closedByPeer, false},
		{"broken pipe", closedByPeer, false},
		{"EOF", closedByPeer, false},
	} {
		if strings.Contains(text, r.part) {
			return r.say, r.silent
		}
	}
	return "unexpected error", false
}

// between returns what stands between prefix, where s must begin or contain it, and the last suffix after it.
func between(s, prefix, suffix string) (string, bool) {
	_, rest, ok := strings.Cut(s, prefix)
	if !ok {
		return "", false
	}
	i := strings.Index(rest, suffix)
	if i < 0 {
		return "", false
	}
	return rest[:i], true
}
