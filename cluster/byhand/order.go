package byhand

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/tandem-lb/tandem/cluster/peer"
)

// Word is what an operator says about a backend.
type Word string

// What an operator can say.
const (
	Ready Word = "ready" // probes and traffic decide
	Drain Word = "drain" // nothing new; what is there goes on
	Maint Word = "maint" // nothing new; what is there ends
)

const (
	mostWeight = 256
	maxName    = 64  // bytes of a name
	maxReason  = 200 // bytes
	maxBy      = 80  // bytes
	// ahead is how far another node's clock may be before this one's: what is later than that is forged, or would win for years.
	ahead = 24 * time.Hour
)

// Order is what an operator has set for one backend. The zero value of Word and Weight says that nothing is set any more: it is kept so that who missed
// the reset learns of it.
type Order struct {
	Pool    string `json:"pool"`
	Backend string `json:"backend"`
	Word    Word   `json:"word,omitempty"`
	Weight  int    `json:"weight,omitempty"` // 1..256; zero: as configured
	Reason  string `json:"reason,omitempty"`
	By      string `json:"by,omitempty"` // who said it
	Node    string `json:"node"`         // where it was said
	At      int64  `json:"at"`           // nanoseconds since 1970, and later than all that node knew of: with Node, the version
}

// IsReset reports whether nothing is set any more.
func (o Order) IsReset() bool { return o.Word == "" && o.Weight == 0 }

// Since is when it was said.
func (o Order) Since() time.Time { return time.Unix(0, o.At) }

type key struct{ pool, backend string }

func (o Order) key() key { return key{o.Pool, o.Backend} }

// newer reports whether o takes the place of x on every node, whichever it hears of first.
func (o Order) newer(x Order) bool {
	return cmp.Or(cmp.Compare(o.At, x.At), cmp.Compare(o.Node, x.Node)) > 0
}

// check reports what a node would not have said by now.
func (o Order) check(now time.Time) error {
	for _, s := range []string{o.Pool, o.Backend, o.Node} {
		if s == "" || len(s) > maxName || !utf8.ValidString(s) {
			return fmt.Errorf("a name of %d bytes", len(s))
		}
	}
	switch {
	case o.Word != "" && o.Word != Ready && o.Word != Drain && o.Word != Maint:
		return errors.New("an unknown word")
	case o.Weight < 0 || o.Weight > mostWeight:
		return fmt.Errorf("the weight %d, want 1 to %d", o.Weight, mostWeight)
	case len(o.Reason) > maxReason || len(o.By) > maxBy || !utf8.ValidString(o.Reason+o.By):
		return fmt.Errorf("a text that is longer than %d bytes", maxReason)
	case o.At <= 0 || o.At > now.Add(ahead).UnixNano():
		return errors.New("a time that has not come yet")
	}
	return nil
}

// encode makes the form in which an order travels. Whatever check lets through fits, unless its texts are all of characters that JSON escapes: then the reason goes.
func (o Order) encode() ([]byte, error) {
	b, err := json.Marshal(o)
	if err == nil && len(b) > peer.MaxData {
		o.Reason, o.By = "", ""
		b, err = json.Marshal(o)
	}
	if err == nil && len(b) > peer.MaxData {
		err = fmt.Errorf("an order of %d bytes, at most %d can be sent", len(b), peer.MaxData)
	}
	return b, err
}

// decode reads what encode made, from anywhere.
func decode(b []byte, now time.Time) (Order, error) {
	var o Order
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&o); err != nil {
		return Order{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Order{}, errors.New("something follows the end")
	}
	return o, o.check(now)
}
