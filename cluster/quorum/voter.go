package quorum

import "time"

// Plea is what a node says to its voters.
type Plea uint8

const (
	// None: nothing changes.
	None Plea = iota
	// Ask for the vote, or for more of it.
	Ask
	// Free the vote: whoever says this holds nothing, and can hold nothing by any grant of a round up to this one.
	Free
)

// Voter is one node's vote. The zero value is not ready: see NewVoter. Times are of one clock that never stands still or goes back while the
// host runs; its zero does not matter.
type Voter struct {
	lease   time.Duration
	patient time.Duration
	until   time.Duration // nobody else is granted before this
	boot    uint64        // whom the vote is granted to: a life of a node; 0: nobody
	round   uint64        // the newest that it asked for
	next    asker         // who asked last and was not granted
}

type asker struct {
	boot, round uint64
	at          time.Duration
}

// NewVoter returns the vote of a node that starts now. What its life before has granted it does not know: so it grants nothing until a whole
// lease has passed. A question that could not be granted is remembered for a while, patient, in case that the vote becomes free.
func NewVoter(lease, patient, now time.Duration) Voter {
	return Voter{lease: lease, patient: patient, until: now + lease}
}

// Hear takes what a node, of that life, said in its beat of that round, and reports whether the vote is now somebody else's. Now is when it is heard
// or later, never earlier. The rounds of one life must come in rising order.
func (v *Voter) Hear(p Plea, boot, round uint64, now time.Duration) (changed bool) {
	was := v.boot
	switch p {
	case None:
	case Free:
		if v.next.boot == boot {
			v.next = asker{}
		}
		if v.boot == boot {
			v.boot, v.until = 0, now
			if v.next.boot != 0 && now-v.next.at <= v.patient {
				v.grant(v.next.boot, v.next.round, now)
			}
		}
	case Ask:
		if v.boot == boot || now >= v.until {
			v.grant(boot, round, now)
		} else {
			v.next = asker{boot, round, now}
		}
	}
	return v.boot != was
}

func (v *Voter) grant(boot, round uint64, now time.Duration) {
	v.boot, v.round, v.until, v.next = boot, round, now+v.lease, asker{}
}

// Granted is whom the vote is granted to, and the newest round that it is granted for; boot is 0 for nobody.
func (v *Voter) Granted(now time.Duration) (boot, round uint64) {
	if v.boot == 0 || now >= v.until {
		return 0, 0
	}
	return v.boot, v.round
}

// Waits reports whether the vote is not given to anybody because this node has only just started.
func (v *Voter) Waits(now time.Duration) bool { return v.boot == 0 && now < v.until }
