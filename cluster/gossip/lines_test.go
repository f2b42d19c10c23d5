package gossip

import "testing"

// These are memberlist v0.7.0's own words. That it still says them is held by the tests with real memberlists.
func TestLinesOfMemberlistAreUnderstood(t *testing.T) {
	for _, c := range []struct {
		line string
		want finding
	}{
		{"[INFO] memberlist: Suspect lb2 has failed, no acks received", finding{node: "lb2", suspected: true}},
		{"[INFO] memberlist: Marking lb2 as failed, suspect timeout reached (0 peer confirmations)", finding{node: "lb2", failed: true}},
		{"[WARN] memberlist: Was able to connect to lb2 over TCP but UDP probes failed, network may be misconfigured",
			finding{node: "lb2", udpLost: true}},
		{`[ERR] memberlist: discarding stream with unacceptable label "other": from=10.0.0.12:5`,
			finding{cause: wrongName, from: "10.0.0.12:5", reason: `its cluster name is "other"`}},
		{`[ERR] memberlist: discarding packet with unacceptable label "": from=1.2.3.4:5`, finding{}},
		{`[ERR] memberlist: discarding packet with unacceptable label "a\": from=1.2.3.4:5": from=10.0.0.12:7946`, // a forged label
			finding{cause: wrongName, from: "10.0.0.12:7946", reason: `its cluster name is "a\": from=1.2.3.4:5"`}},
		{"[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.12:7946",
			finding{cause: wrongKey, from: "10.0.0.12:7946", reason: "its key is another one"}},
		{"[ERR] memberlist: Decrypt packet failed: unsupported encryption version 244 from=10.0.0.12:7946",
			finding{cause: wrongKey, from: "10.0.0.12:7946", reason: "it sent a packet that is not encrypted"}},
		{"[ERR] memberlist: failed to receive: encryption is configured but remote state is not encrypted from=10.0.0.12:5",
			finding{cause: wrongKey, from: "10.0.0.12:5", reason: "it has no key, this node has one"}},
		{"[ERR] memberlist: failed to receive: i/o timeout from=10.0.0.12:5", finding{from: "10.0.0.12:5"}},
		{"[ERR] memberlist: Failed push/pull merge: Node 'lb2' delegate protocol version (2) is incompatible: [2, 1] from=10.0.0.12:5",
			finding{cause: otherVersion, from: "10.0.0.12:5", reason: "gossip: Node 'lb2' delegate protocol version (2) is incompatible: [2, 1]"}},
		{"[DEBUG] memberlist: Stream connection from=10.0.0.12:5", finding{}},
		{"something else", finding{}},
		{"", finding{}},
	} {
		if got := readLine(c.line); got != c.want {
			t.Errorf("readLine(%q) = %+v, want %+v", c.line, got, c.want)
		}
	}
}

func TestErrorsThatThePeerSentBackAreTurnedRound(t *testing.T) {
	for text, want := range map[string]string{
		"remote error: encryption is configured but remote state is not encrypted": "it has a key, this node has none",
		"remote error: remote state is encrypted and encryption is not configured": "it has no key, this node has one",
		"remote state is encrypted and encryption is not configured":               "it has a key, this node has none",
		"encryption is configured but remote state is not encrypted":               "it has no key, this node has one",
	} {
		if got := readError(text); got.cause != wrongKey || got.reason != want {
			t.Errorf("readError(%q) = %+v, want %q", text, got, want)
		}
	}
}

func FuzzReadLine(f *testing.F) {
	f.Add(`[ERR] memberlist: discarding packet with unacceptable label "x`) // an open quote
	f.Add("[INFO] memberlist: Suspect  has failed, no acks received")       // an empty name
	f.Add("[INFO] memberlist: Suspect has failed, no acks received")        // no name
	f.Add("memberlist: Failed push/pull merge: protocol version ( is incompatible from=")
	f.Fuzz(func(_ *testing.T, s string) {
		readLine(s)
		readError(s)
		joinReason(s)
	})
}

func TestErrorOfAJoinIsToldInOneLine(t *testing.T) {
	got := oneLine("1 error occurred:\n\t* failed to join 10.0.0.12:7946: refused\n\n")
	if want := "failed to join 10.0.0.12:7946: refused"; got != want {
		t.Errorf("oneLine = %q, want %q", got, want)
	}
}
