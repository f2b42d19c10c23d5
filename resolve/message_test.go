package resolve

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// FuzzAnswer: whatever a name server sends is bounded, and is no panic.
func FuzzAnswer(f *testing.F) {
	seed := func(change func(*dnsmessage.Message)) {
		name := dnsmessage.MustNewName(host + ".")
		m := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: 7, Response: true},
			Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
			Answers: []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 60},
				Body:   &dnsmessage.AResource{A: [4]byte{10, 0, 1, 1}},
			}},
		}
		change(&m)
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	seed(func(*dnsmessage.Message) {})
	seed(func(m *dnsmessage.Message) { m.Truncated = true })
	seed(func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError })
	seed(func(m *dnsmessage.Message) { // aliases that go round
		m.Answers[0].Header.Type = dnsmessage.TypeCNAME
		m.Answers[0].Body = &dnsmessage.CNAMEResource{CNAME: m.Questions[0].Name}
	})
	seed(func(m *dnsmessage.Message) { // more than are looked at
		for range maxRecords {
			m.Answers = append(m.Answers, m.Answers[0])
		}
	})
	f.Fuzz(func(t *testing.T, msg []byte) {
		a, err := parse(msg, 7, host, dnsmessage.TypeA)
		switch {
		case err != nil && (a.truncated || len(a.addrs) > 0):
			t.Fatalf("%+v beside %v", a, err)
		case err == nil && !a.truncated && (len(a.addrs) == 0 || len(a.addrs) > maxRecords || a.ttl < 0):
			t.Fatalf("%+v without an error", a)
		}
	})
}
