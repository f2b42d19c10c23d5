package pulse

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/tandem-lb/tandem/cluster/peer/seal"
	"github.com/tandem-lb/tandem/cluster/quorum"
)

// A beat on the wire, version 1, big endian:
//
//	 0  4  "TNDB"
//	 4  1  version
//	 5  1  number of echoes
//	 6  4  flags; unknown ones are ignored
//	10  4  key id: tells a wrong key from a damaged datagram
//	14  4  cluster: hash of the cluster's name
//	18  8  boot of the sender
//	26  8  sequence number, rising for one boot
//	34  8  term
//	42  8  newest term known
//	50  2  rank
//	52  1  priority
//	53  1  length of the name
//	54  1  number of paths of the sender
//	55  2  reach
//	57  2  slow
//	59     name
//	       of those that vote: hash of the voters (8), granted to (8), for which round (8), favours (8), seat (1), plea (1)
//	       echoes: boot (8), sequence number last heard (8), age in ms (4, top bit: never accepted), and, if accepted, for each path
//	       of the sender how long ago it last heard that node on it, in ms (2)
//	       seal (16)
const (
	magic      = "TNDB"
	version    = 1
	headSize   = 59
	voteSize   = 34
	echoSize   = 20
	maxEchoes  = maxPeers * (1 + maxCandidates)
	pathSize   = 2
	maxSize    = headSize + seal.MaxName + voteSize + maxEchoes*echoSize + maxPeers*MaxPaths*pathSize + seal.Size // 1325: fits into one frame
	neverHeard = 1 << 31
	longAgo    = 1<<16 - 1 // in ms on a path: that long, or never
)

const (
	flagHolds = 1 << iota
	flagFit
	flagWants
	flagHearsOthers
	flagServed
	flagLate
	flagLeaving
	flagAnswered
	flagSettling
	flagQuorate
	flagMaintenance
	flagWitness
	flagQuorum // what else is about votes is there
	flagRefuses
	flagByHand
	flagStands
	flagYields
)

// echo tells one peer what the sender last heard of it.
type echo struct {
	boot uint64
	seq  uint64        // the highest heard
	age  time.Duration // since then, in time that the sender was awake; ms on the wire
	// candidate is true while the sender has not yet accepted that boot, because it has seen no answer of it to a beat of its own.
	candidate bool
	// paths is how long ago that node was heard on each path of the sender, in ms; not for candidates.
	paths [MaxPaths]uint16
}

// datagram is a beat and what surrounds it. Decoding aliases the bytes and allocates nothing.
type datagram struct {
	keyID   uint32
	cluster uint32
	name    []byte
	beat    Beat // without Node when decoded: see name
	echoes  [maxEchoes]echo
	n       int // echoes in use
	paths   int // of the sender
}

func (d *datagram) echo(boot uint64) (echo, bool) {
	for _, e := range d.echoes[:d.n] {
		if e.boot == boot {
			return e, true
		}
	}
	return echo{}, false
}

// appendTo appends everything but the seal.
func (d *datagram) appendTo(b []byte) []byte {
	be := binary.BigEndian
	b = append(b, magic...)
	b = append(b, version, byte(d.n))
	b = be.AppendUint32(b, flags(&d.beat))
	b = be.AppendUint32(b, d.keyID)
	b = be.AppendUint32(b, d.cluster)
	b = be.AppendUint64(b, d.beat.Boot)
	b = be.AppendUint64(b, d.beat.Seq)
	b = be.AppendUint64(b, d.beat.Term)
	b = be.AppendUint64(b, d.beat.Newest)
	b = be.AppendUint16(b, d.beat.Rank)
	b = append(b, d.beat.Priority, byte(len(d.name)), byte(d.paths))
	b = be.AppendUint16(b, d.beat.Reach)
	b = be.AppendUint16(b, d.beat.Slow)
	b = append(b, d.name...)
	if v := &d.beat.Vote; v.Set != 0 {
		b = be.AppendUint64(b, v.Set)
		b = be.AppendUint64(b, v.To)
		b = be.AppendUint64(b, v.Round)
		b = be.AppendUint64(b, v.Favours)
		b = append(b, v.Seat, byte(v.Plea))
	}
	for _, e := range d.echoes[:d.n] {
		b = be.AppendUint64(b, e.boot)
		b = be.AppendUint64(b, e.seq)
		b = be.AppendUint32(b, wireAge(e))
		if e.candidate {
			continue
		}
		for _, age := range e.paths[:d.paths] {
			b = be.AppendUint16(b, age)
		}
	}
	return b
}

// validVote reports whether v can be what a node says that does, or does not, vote.
func validVote(v Vote, votes bool) bool {
	if !votes {
		return v == Vote{}
	}
	return v.Set != 0 && v.Seat < quorum.MaxSeats && v.Plea <= quorum.Free
}

func wireAge(e echo) uint32 {
	ms := uint32(min(max(e.age.Milliseconds(), 0), math.MaxInt32))
	if e.candidate {
		ms |= neverHeard
	}
	return ms
}

// decode reads the bytes without judging the seal. It returns Fine, Oversized, Malformed or OtherVersion.
func (d *datagram) decode(b []byte) Cause {
	be := binary.BigEndian
	switch {
	case len(b) > maxSize:
		return Oversized
	case len(b) < 5 || string(b[:4]) != magic:
		return Malformed
	case b[4] != version:
		return OtherVersion
	case len(b) < headSize:
		return Malformed
	}
	d.n, d.paths = int(b[5]), int(b[54])
	nameLen, votes := int(b[53]), 0
	if be.Uint32(b[6:])&flagQuorum != 0 {
		votes = voteSize
	}
	if d.n > maxEchoes || d.paths > MaxPaths || len(b) < headSize+nameLen+votes+d.n*echoSize+seal.Size {
		return Malformed
	}
	d.keyID, d.cluster = be.Uint32(b[10:]), be.Uint32(b[14:])
	d.beat = Beat{
		Boot: be.Uint64(b[18:]), Seq: be.Uint64(b[26:]),
		Term: be.Uint64(b[34:]), Newest: be.Uint64(b[42:]),
		Rank: be.Uint16(b[50:]), Priority: b[52], Reach: be.Uint16(b[55:]), Slow: be.Uint16(b[57:]),
	}
	setFlags(&d.beat, be.Uint32(b[6:]))
	d.name = b[headSize : headSize+nameLen]
	rest := b[headSize+nameLen:]
	if votes > 0 {
		d.beat.Vote = Vote{Set: be.Uint64(rest), To: be.Uint64(rest[8:]), Round: be.Uint64(rest[16:]), Favours: be.Uint64(rest[24:]), Seat: rest[32], Plea: quorum.Plea(rest[33])}
		rest = rest[votes:]
	}
	if d.beat.Boot == 0 || d.beat.Seq == 0 || !seal.ValidName(d.name) || !validVote(d.beat.Vote, votes > 0) {
		return Malformed
	}
	return d.decodeEchoes(rest[:len(rest)-seal.Size])
}

// decodeEchoes reads the echoes, which are all of b.
func (d *datagram) decodeEchoes(b []byte) Cause {
	be := binary.BigEndian
	for i := range d.n {
		if len(b) < echoSize {
			return Malformed
		}
		age := be.Uint32(b[16:])
		e := &d.echoes[i]
		*e = echo{
			boot: be.Uint64(b), seq: be.Uint64(b[8:]),
			age: time.Duration(age&^neverHeard) * time.Millisecond, candidate: age&neverHeard != 0,
		}
		b = b[echoSize:]
		if e.candidate {
			continue
		}
		if len(b) < d.paths*pathSize {
			return Malformed
		}
		for p := range d.paths {
			e.paths[p] = be.Uint16(b[p*pathSize:])
		}
		b = b[d.paths*pathSize:]
	}
	if len(b) != 0 {
		return Malformed
	}
	return Fine
}

func flags(b *Beat) (f uint32) {
	for _, x := range [...]struct {
		on  bool
		bit uint32
	}{
		{b.Holds, flagHolds}, {b.Fit, flagFit}, {b.Wants, flagWants}, {b.HearsOthers, flagHearsOthers},
		{b.Served, flagServed}, {b.Late, flagLate}, {b.Leaving, flagLeaving},
		{b.Answered, flagAnswered}, {b.Settling, flagSettling}, {b.Refuses, flagRefuses},
		{b.Maintenance, flagMaintenance}, {b.ByHand, flagByHand},
		{b.Witness, flagWitness}, {b.Vote.Set != 0, flagQuorum}, {b.Quorate, flagQuorate}, {b.Stands, flagStands},
		{b.Yields, flagYields},
	} {
		if x.on {
			f |= x.bit
		}
	}
	return f
}

func setFlags(b *Beat, f uint32) {
	b.Holds, b.Fit, b.Wants = f&flagHolds != 0, f&flagFit != 0, f&flagWants != 0
	b.HearsOthers, b.Served = f&flagHearsOthers != 0, f&flagServed != 0
	b.Late, b.Leaving = f&flagLate != 0, f&flagLeaving != 0
	b.Answered, b.Settling = f&flagAnswered != 0, f&flagSettling != 0
	b.Refuses = f&flagRefuses != 0
	b.Maintenance, b.ByHand = f&flagMaintenance != 0, f&flagByHand != 0
	b.Witness, b.Quorate, b.Stands = f&flagWitness != 0, f&flagQuorate != 0, f&flagStands != 0
	b.Yields = f&flagYields != 0
}
