package announce

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// Two hosts, and what they speak about.
func hosts() (a, b MAC) { return MAC{2, 0, 0, 0, 0, 1}, MAC{2, 0, 0, 0, 0, 2} }

func TestFramesSayWhatTheyShould(t *testing.T) {
	a, b := hosts()
	v4, v6, me4, me6 := addr("10.0.0.10"), addr("2001:db8::10"), addr("10.0.0.1"), addr("fe80::1")
	tests := []struct {
		name  string
		frame []byte
		dst   MAC
		want  Claim
	}{
		{"request form", Gratuitous(a, a, v4), Broadcast(), Claim{Addr: v4, MAC: a, From: a, To: v4}},
		{"on behalf of another", Gratuitous(a, b, v4), Broadcast(), Claim{Addr: v4, MAC: b, From: a, To: v4}},
		{"reply form", GratuitousReply(a, a, v4), Broadcast(), Claim{Addr: v4, MAC: a, From: a, Reply: true, To: v4}},
		{"told to the router", Tell(a, v4, b, me4), b, Claim{Addr: v4, MAC: a, From: a, Reply: true, To: me4}},
		{"probe", Ask(Broadcast(), a, netip.IPv4Unspecified(), v4), Broadcast(), Claim{Addr: netip.IPv4Unspecified(), MAC: a, From: a, To: v4}},
		{"unsolicited", Unsolicited(a, a, v6, MAC{}, netip.Addr{}), MAC{0x33, 0x33, 0, 0, 0, 1}, Claim{Addr: v6, MAC: a, From: a, To: addr("ff02::1")}},
		{"unsolicited, to the router", Unsolicited(a, a, v6, b, me6), b, Claim{Addr: v6, MAC: a, From: a, To: me6}},
	}
	for _, tt := range tests {
		got, err := Parse(tt.frame)
		if err != nil || got != tt.want {
			t.Errorf("%s: Parse = %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
		if dst := MAC(tt.frame[:6]); dst != tt.dst {
			t.Errorf("%s: sent to %s, want %s", tt.name, dst, tt.dst)
		}
	}
}

// Linux ignores the reply form for a second after another update unless the target hardware address is the sender's.
func TestReplyFormNamesItsSenderAsTarget(t *testing.T) {
	a, _ := hosts()
	var p arp.Packet
	if err := p.UnmarshalBinary(GratuitousReply(a, a, addr("10.0.0.10"))[etherSize:]); err != nil {
		t.Fatal(err)
	}
	if p.TargetHardwareAddr.String() != a.String() || p.TargetIP != p.SenderIP {
		t.Errorf("%+v", p)
	}
}

func TestSolicitationsGoToTheSolicitedNodesGroup(t *testing.T) {
	a, b := hosts()
	f := Solicit(a, addr("fe80::1"), addr("2001:db8::12:3456"), MAC{})
	if MAC(f[:6]) != (MAC{0x33, 0x33, 0xff, 0x12, 0x34, 0x56}) {
		t.Errorf("sent to %s", MAC(f[:6]))
	}
	if dst := netip.AddrFrom16([16]byte(f[etherSize+24 : etherSize+40])); dst != addr("ff02::1:ff12:3456") {
		t.Errorf("addressed to %s", dst)
	}
	f = Solicit(a, addr("fe80::1"), addr("2001:db8::12:3456"), b)
	if dst := netip.AddrFrom16([16]byte(f[etherSize+24 : etherSize+40])); MAC(f[:6]) != b || dst != addr("2001:db8::12:3456") {
		t.Errorf("asked %s at %s", dst, MAC(f[:6]))
	}
	if _, err := Parse(f); err == nil {
		t.Error("a question was taken for a claim")
	}
}

func TestKnockKnowsItsAnswer(t *testing.T) {
	a, b := hosts()
	for _, pair := range [][2]string{{"10.0.0.1:20000", "10.0.0.10:80"}, {"[fe80::1]:20000", "[2001:db8::10]:80"}} {
		k := Knock{Mine: netip.MustParseAddrPort(pair[0]), Theirs: netip.MustParseAddrPort(pair[1]), Seq: 0xffffffff}
		// The answer is a knock from the other side with an acknowledgement in it.
		answer := func(flags byte, ack uint32) []byte {
			f := Knock{Mine: k.Theirs, Theirs: k.Mine}.Frame(a, b)
			tcp := f[len(f)-24:]
			tcp[13] = flags
			binary.BigEndian.PutUint32(tcp[8:], ack)
			return f
		}
		tests := []struct {
			name  string
			frame []byte
			want  Answer
		}{
			{"RST", answer(flagRST|flagACK, 0), Refused},
			{"SYN-ACK", answer(flagSYN|flagACK, 0), Accepted},
			{"RST for another", answer(flagRST|flagACK, 1), NoAnswer},
			{"RST without ACK", answer(flagRST, 0), NoAnswer},
			{"ACK", answer(flagACK, 0), NoAnswer},
			{"SYN", answer(flagSYN, 0), NoAnswer},
			{"the knock itself", k.Frame(b, a), NoAnswer},
			{"cut", answer(flagRST|flagACK, 0)[:40], NoAnswer},
			{"nothing", nil, NoAnswer},
		}
		for _, tt := range tests {
			if got := k.Answer(tt.frame); got != tt.want {
				t.Errorf("%s: Answer(%s) = %d, want %d", k.Mine, tt.name, got, tt.want)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	a, b := hosts()
	f.Add(Gratuitous(a, b, addr("10.0.0.10")))
	f.Add(Unsolicited(a, b, addr("2001:db8::10"), MAC{}, netip.Addr{}))
	// Lengths that lie: hardware addresses of 255 bytes, protocol addresses of 16.
	f.Add(append(ether(a, b, 0x0806), 0, 1, 8, 0, 255, 4, 0, 1, 0, 0))
	f.Add(append(ether(a, b, 0x0806), append([]byte{0, 1, 8, 0, 6, 16, 0, 1}, make([]byte, 44)...)...))
	// An advertisement whose IPv6 length is longer than the frame.
	long := Unsolicited(a, b, addr("2001:db8::10"), MAC{}, netip.Addr{})
	long[etherSize+4] = 0xff
	f.Add(long)
	f.Fuzz(func(t *testing.T, frame []byte) {
		c, err := Parse(frame)
		if err != nil {
			return
		}
		if !c.Addr.IsValid() || !c.To.IsValid() || c.Addr.Is4In6() && c.To.Is4() {
			t.Errorf("Parse(%x) = %+v", frame, c)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	a, b := hosts()
	k4 := Knock{Mine: netip.MustParseAddrPort("10.0.0.1:20000"), Theirs: netip.MustParseAddrPort("10.0.0.10:80")}
	k6 := Knock{Mine: netip.MustParseAddrPort("[fe80::1]:20000"), Theirs: netip.MustParseAddrPort("[fe80::2]:80")}
	f.Add(k4.Frame(a, b))
	f.Add(k6.Frame(a, b))
	// An IPv4 header that claims to be 60 bytes long in a frame of 54.
	long := k4.Frame(a, b)
	long[etherSize] = 0x4f
	f.Add(long)
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, k := range []Knock{k4, k6} {
			if got := k.Answer(frame); got > Accepted {
				t.Errorf("Answer(%x) = %d", frame, got)
			}
		}
	})
}
