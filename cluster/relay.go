package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/tandem-lb/tandem/cluster/peer"
)

// A standby passes a handover on to the leader, which answers: both over the peer stream, as peer.Word and peer.Answer with JSON in Data.

const (
	// wordTime bounds how long a word is followed, and an answer waited for.
	wordTime = 10 * time.Second
	maxName  = 64  // bytes of a node's name
	maxBy    = 80  // of whoever asks
	maxWhy   = 300 // of a sentence
)

// wordOut is a word on the stream.
type wordOut struct {
	ID uint64 `json:"id"`
	To string `json:"to,omitempty"`
	By string `json:"by,omitempty"`
}

// answerOut is what came of the word with that ID.
type answerOut struct {
	ID   uint64        `json:"id"`
	Code string        `json:"code,omitempty"` // empty: done
	Why  string        `json:"why,omitempty"`  // or the note
	From string        `json:"from,omitempty"`
	To   string        `json:"to,omitempty"`
	Term uint64        `json:"term,omitempty"`
	Away time.Duration `json:"away,omitempty"`
	Took time.Duration `json:"took,omitempty"`
}

// clip shortens s to n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for s = s[:n]; len(s) > 0 && !utf8.ValidString(s); {
		s = s[:len(s)-1]
	}
	return s
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil || len(b) > peer.MaxData {
		return nil // what is clipped fits
	}
	return b
}

// heardWord takes in a word that a peer passes on.
func (n *Node) heardWord(ctx context.Context, m peer.Message) {
	var w wordOut
	if json.Unmarshal(m.Data, &w) != nil || len(w.To) > maxName || len(w.By) > 2*maxBy {
		n.log.Debug("message makes no sense", "peer", m.From, "kind", m.Kind)
		return
	}
	n.say(said{
		Word{Do: Handover, To: w.To, By: fmt.Sprintf("%s on %s", w.By, m.From)}, m.From,
		func(o Outcome, err error) {
			n.send(ctx, m.From, peer.Message{Kind: peer.Answer, Data: encode(answerOf(w.ID, o, err))})
		},
	})
}

func answerOf(id uint64, o Outcome, err error) answerOut {
	a := answerOut{ID: id, From: o.From, To: o.To, Term: o.Term, Away: o.Away, Took: o.Took, Why: clip(o.Note, maxWhy)}
	if err != nil {
		a.Code, a.Why = FailedCancelled, clip(err.Error(), maxWhy)
		if r, ok := err.(*Refusal); ok { //nolint:errorlint // made here, wrapped by nobody
			a.Code = r.Code
		}
	}
	return a
}

// heardAnswer takes in what came of a word that this node passed on.
func (n *Node) heardAnswer(m peer.Message) {
	var a answerOut
	op := n.op
	if json.Unmarshal(m.Data, &a) != nil || op == nil || op.phase != relayed || op.to != m.From || op.id != a.ID {
		return
	}
	if a.Code != "" {
		n.finish(Outcome{}, &Refusal{a.Code, fmt.Sprintf("%s: %s", m.From, a.Why)})
		return
	}
	n.finish(Outcome{Moved: a.From != "" && a.From != a.To, From: a.From, To: a.To, Term: a.Term, Away: a.Away, Took: time.Since(op.begun), Note: a.Why}, nil)
}

// relay passes the word on to the leader.
func (n *Node) relay(ctx context.Context, s said, leader string, now time.Time) {
	n.wordID++
	n.op = &operation{said: s, phase: relayed, to: leader, begun: now, id: n.wordID}
	m := peer.Message{Kind: peer.Word, Data: encode(wordOut{ID: n.wordID, To: clip(s.To, maxName), By: clip(s.By, maxBy)})}
	id := n.wordID
	n.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, n.Policy.Failover)
		defer cancel()
		if err := n.Streams.Send(ctx, leader, m); err != nil {
			select {
			case n.unsent <- unsent{id, err}:
			case <-ctx.Done():
			}
		}
	})
}

// unsent is a word that could not be passed on.
type unsent struct {
	id  uint64
	err error
}

func (n *Node) heardUnsent(u unsent) {
	if n.op != nil && n.op.phase == relayed && n.op.id == u.id {
		n.finish(Outcome{}, refused(FailedUnanswered, "%s leads and could not be asked: %v; ask it on its own host", n.op.to, u.err))
	}
}
