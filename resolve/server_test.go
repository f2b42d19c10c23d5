package resolve

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// server is a name server in memory.
type server struct {
	mu    sync.Mutex // guards what follows
	hosts map[string][]string
	ttl   uint32
	rcode dnsmessage.RCode
	mute  bool
	small bool                  // datagrams have room for one record
	edit  func(m []byte) []byte // what is done to each answer by UDP
	asked []string
	wg    sync.WaitGroup
}

func newServer(ttl uint32) *server { return &server{hosts: map[string][]string{}, ttl: ttl} }

// set gives a host these addresses, or an alias that begins with =.
func (s *server) set(host string, addrs ...string) {
	s.mu.Lock()
	s.hosts[host] = addrs
	s.mu.Unlock()
}

func (s *server) change(f func(*server)) {
	s.mu.Lock()
	f(s)
	s.mu.Unlock()
}

func (s *server) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func (s *server) dial(_ context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	mine, theirs := net.Pipe()
	s.wg.Go(func() {
		defer theirs.Close()
		s.serve(theirs, network, to)
	})
	return mine, nil
}

func (s *server) serve(c net.Conn, network string, to netip.AddrPort) {
	buf := make([]byte, 4096)
	if network == "tcp" {
		if _, err := io.ReadFull(c, buf[:2]); err != nil {
			return
		}
		buf = buf[:binary.BigEndian.Uint16(buf)]
		if _, err := io.ReadFull(c, buf); err != nil {
			return
		}
	} else {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		buf = buf[:n]
	}
	m := s.answer(buf, network, to)
	switch {
	case m == nil:
		_, _ = io.Copy(io.Discard, c) // never answers
	case network == "tcp":
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
	default:
		_, _ = c.Write(m)
	}
}

func (s *server) answer(q []byte, network string, to netip.AddrPort) []byte {
	var m dnsmessage.Message
	if m.Unpack(q) != nil || len(m.Questions) != 1 {
		panic("not a question")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ask := m.Questions[0]
	s.asked = append(s.asked, network+" "+to.String()+" "+ask.Name.String()+" "+strings.TrimPrefix(ask.Type.String(), "Type"))
	if s.mute {
		return nil
	}
	m.Response, m.RCode = true, s.rcode
	name := strings.TrimSuffix(ask.Name.String(), ".")
	for {
		all, known := s.hosts[name]
		if !known {
			m.RCode = max(m.RCode, dnsmessage.RCodeNameError)
			break
		}
		h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name + "."), Class: dnsmessage.ClassINET, TTL: s.ttl}
		if len(all) > 0 && strings.HasPrefix(all[0], "=") {
			name = all[0][1:]
			h.Type = dnsmessage.TypeCNAME
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(name + ".")}})
			continue
		}
		for _, text := range all {
			a := netip.MustParseAddr(text)
			switch {
			case a.Is4() && ask.Type == dnsmessage.TypeA:
				h.Type = dnsmessage.TypeA
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
			case a.Is6() && ask.Type == dnsmessage.TypeAAAA:
				h.Type = dnsmessage.TypeAAAA
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
			}
		}
		break
	}
	if s.small && network == "udp" && len(m.Answers) > 1 {
		m.Truncated, m.Answers = true, m.Answers[:1]
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	if s.edit != nil && network == "udp" {
		b = s.edit(b)
	}
	return b
}

// addresses is what is reported, by backend.
type addresses struct {
	mu  sync.Mutex // guards what follows
	at  map[string]string
	n   int
	why map[string]string
}

func (a *addresses) report(_, backend string, at netip.AddrPort, reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	a.why[backend] = reason
	delete(a.at, backend)
	if at.IsValid() {
		a.at[backend] = at.String()
	}
}

// of is where the backends are, in order, and "-" for those that are not in use.
func (a *addresses) of(backends ...string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, b := range backends {
		if at := a.at[b]; at != "" {
			out = append(out, at)
		} else {
			out = append(out, "-"+a.why[b])
		}
	}
	return strings.Join(out, " ")
}

// world runs a resolver of names in a bubble; what it returns ends it.
func world(t *testing.T, cfg Config, log *logBuffer, names ...Name) (*addresses, func()) {
	t.Helper()
	_, got, end := changeable(t, cfg, log, names...)
	return got, end
}

// changeable is world with the resolver itself.
func changeable(t *testing.T, cfg Config, log *logBuffer, names ...Name) (*Resolver, *addresses, func()) {
	t.Helper()
	got := &addresses{at: map[string]string{}, why: map[string]string{}}
	r := New(cfg, names, got.report, log.logger())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, got, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}
