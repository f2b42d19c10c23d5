package resolve

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// maxRecords and maxAliases bound what of an answer is looked at.
	maxRecords = 256
	maxAliases = 8
	// maxAddresses bounds what of it is kept.
	maxAddresses = 64
)

var (
	errNotFound = errors.New("there is no such name")
	errNoData   = errors.New("the name has no address")
	errStray    = errors.New("not the answer to this question")
)

// answer is what a name server said.
type answer struct {
	addrs     []netip.Addr
	ttl       time.Duration // the shortest of all records that lead to the addresses
	truncated bool          // ask again by TCP
}

// question makes a query for the addresses of a host, of type A or AAAA.
func question(id uint16, host string, t dnsmessage.Type) ([]byte, error) {
	name, err := dnsmessage.NewName(host + ".")
	if err != nil {
		return nil, fmt.Errorf("the name %q: %w", host, err)
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: t, Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}

// parse reads the answer to a question. The error is errStray for what may come from somebody else, errNotFound, errNoData, or why the server
// is of no use.
func parse(msg []byte, id uint16, host string, t dnsmessage.Type) (answer, error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != id {
		return answer{}, errStray
	}
	q, err := p.Question()
	if err != nil || q.Type != t || q.Class != dnsmessage.ClassINET || canonical(q.Name) != host {
		return answer{}, errStray
	}
	switch h.RCode {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeNameError:
		return answer{}, errNotFound
	default:
		return answer{}, fmt.Errorf("the server says %s", strings.TrimPrefix(h.RCode.String(), "RCode"))
	}
	if h.Truncated {
		return answer{truncated: true}, nil
	}
	if err := p.SkipAllQuestions(); err != nil {
		return answer{}, fmt.Errorf("unreadable answer: %w", err)
	}
	rs, err := records(&p)
	if err != nil {
		return answer{}, fmt.Errorf("unreadable answer: %w", err)
	}
	return rs.follow(host)
}

// found is what the records of an answer say, by the name that they are of.
type found struct {
	aliases map[string]alias
	addrs   map[string]answer
}

type alias struct {
	to  string
	ttl time.Duration
}

func records(p *dnsmessage.Parser) (*found, error) {
	f := &found{aliases: make(map[string]alias), addrs: make(map[string]answer)}
	for range maxRecords {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return f, nil
		}
		if err != nil {
			return nil, err
		}
		owner, ttl := canonical(h.Name), time.Duration(h.TTL)*time.Second
		if h.TTL > 1<<31-1 { // RFC 2181, section 8
			ttl = 0
		}
		if h.Class != dnsmessage.ClassINET {
			if err := p.SkipAnswer(); err != nil {
				return nil, err
			}
			continue
		}
		switch h.Type {
		case dnsmessage.TypeA:
			r, err := p.AResource()
			if err != nil {
				return nil, err
			}
			f.add(owner, netip.AddrFrom4(r.A), ttl)
		case dnsmessage.TypeAAAA:
			r, err := p.AAAAResource()
			if err != nil {
				return nil, err
			}
			f.add(owner, netip.AddrFrom16(r.AAAA), ttl)
		case dnsmessage.TypeCNAME:
			r, err := p.CNAMEResource()
			if err != nil {
				return nil, err
			}
			f.aliases[owner] = alias{canonical(r.CNAME), ttl}
		default:
			if err := p.SkipAnswer(); err != nil {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("more than %d records", maxRecords)
}

func (f *found) add(owner string, a netip.Addr, ttl time.Duration) {
	old, known := f.addrs[owner]
	if known {
		ttl = min(ttl, old.ttl)
	}
	f.addrs[owner] = answer{addrs: append(old.addrs, a), ttl: ttl}
}

// follow goes from a name by its aliases to its addresses.
func (f *found) follow(host string) (answer, error) {
	shortest := time.Duration(1<<63 - 1)
	for range maxAliases + 1 {
		if a, ok := f.addrs[host]; ok {
			a.ttl = min(a.ttl, shortest)
			return a, nil
		}
		next, ok := f.aliases[host]
		if !ok {
			return answer{}, errNoData
		}
		host, shortest = next.to, min(shortest, next.ttl)
	}
	return answer{}, fmt.Errorf("more than %d aliases, or they go round", maxAliases)
}

// canonical is a name in lower case without the dot at its end.
func canonical(n dnsmessage.Name) string { return strings.ToLower(strings.TrimSuffix(n.String(), ".")) }
