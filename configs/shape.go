package configs

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// maxItems bounds each list of the file.
const maxItems = 4096

// kind is how a value is written.
type kind int

const (
	plain kind = iota
	quoted
	number
	boolean
	null
)

// scalar is one value as it is written.
type scalar struct {
	place
	text string
	kind kind
	set  bool // the key is there
	bad  bool // and what is wrong with it has been reported
}

// ok says that there is a value to look at.
func (s scalar) ok() bool { return s.set && !s.bad }

// block is a mapping, or a list, as it is written.
type block struct {
	place
	set bool
	bad bool // not a mapping: what is missing in it is not worth a word
}

func (b *block) self() *block { return b }

// list is a list of values.
type list struct {
	block
	items []scalar
}

// blocks is a list of mappings.
type blocks[T any] struct {
	block
	items []T
}

// filler is a field that fills itself from a node.
type filler interface {
	fill(r *report, n ast.Node, at place)
}

// holder is a struct with a block: a mapping with fixed keys.
type holder interface {
	self() *block
}

func (s *scalar) fill(r *report, n ast.Node, at place) {
	*s = scalar{place: at, set: true}
	switch n := n.(type) {
	case *ast.LiteralNode: // | and >
		s.text, s.kind = n.Value.Value, quoted
	case *ast.MappingNode, *ast.MappingValueNode:
		if s.text = glued(n.(ast.MapNode)); s.text == "" {
			s.bad = true
			r.bad(at, `is a mapping (key: value); one value is wanted (an address with a port can be put in quotes: "10.0.0.1:80")`)
		}
	case *ast.SequenceNode:
		s.bad = true
		r.bad(at, `is a list; one value is wanted (an IPv6 address with a port needs quotes: "[2001:db8::1]:80")`)
	case *ast.NullNode:
		s.kind, s.bad = null, true
		r.bad(at, "has no value; write one, or leave the key out")
	default:
		t := n.GetToken()
		s.text = t.Value
		switch {
		case t.Type == token.DoubleQuoteType || t.Type == token.SingleQuoteType:
			s.kind = quoted
		case n.Type() == ast.BoolType:
			s.kind = boolean
		case n.Type() == ast.IntegerType || n.Type() == ast.FloatType:
			s.kind = number
		}
	}
}

// glued is the text of a plain a:b that is one value by YAML's rules. The scanner takes it for a mapping when it stands in
// a list within braces, as in {peers: [10.0.0.12:7946]}. It is "" for a mapping proper, which has a blank after its colon.
func glued(m ast.MapNode) string {
	it := m.MapRange()
	if !it.Next() || it.Value() == nil {
		return ""
	}
	kv := it.KeyValue()
	key, colon, value := it.Key().GetToken(), kv.Start, it.Value().GetToken()
	if _, ok := it.Value().(ast.ScalarNode); !ok || it.Next() || colon == nil || colon.Position.Line != key.Position.Line || value.Position.Line != key.Position.Line {
		return ""
	}
	plainKey, plainValue := key.Type == token.StringType || key.Type == token.IntegerType || key.Type == token.FloatType, value.Type != token.DoubleQuoteType && value.Type != token.SingleQuoteType
	if !plainKey || !plainValue || colon.Position.Column != key.Position.Column+utf8.RuneCountInString(key.Value) || value.Position.Column != colon.Position.Column+1 {
		return ""
	}
	return key.Value + ":" + value.Value
}

// entries are the nodes of a list; nil and a report if it is none.
func (b *block) entries(r *report, n ast.Node, at place, want string) []ast.Node {
	*b = block{place: at, set: true}
	seq, ok := n.(*ast.SequenceNode)
	switch {
	case !ok:
		b.bad = true
		r.bad(at, "a list is wanted: %s", want)
		return nil
	case len(seq.Values) > maxItems:
		b.bad = true
		r.bad(at, "has %d entries; at most %d are read", len(seq.Values), maxItems)
		return nil
	}
	return seq.Values
}

func (l *list) fill(r *report, n ast.Node, at place) {
	if one, ok := n.(ast.ScalarNode); ok && n.Type() != ast.NullType {
		// A single value where a list may stand: the converter says whether it is one of those keys.
		l.block = block{place: at, set: true}
		l.items = make([]scalar, 1)
		p := position(n.GetToken())
		p.key = at.key
		l.items[0].fill(r, one, p)
		return
	}
	l.items = nil
	for i, e := range l.entries(r, n, at, "[a, b], or a line - a for each") {
		p := beginning(e)
		p.key = fmt.Sprintf("%s[%d]", at.key, i)
		var s scalar
		s.fill(r, e, p)
		l.items = append(l.items, s)
	}
}

func (b *blocks[T]) fill(r *report, n ast.Node, at place) {
	nodes := b.entries(r, n, at, "begin each entry with a dash, as in configs/reference.yaml")
	b.items = make([]T, len(nodes))
	for i, e := range nodes {
		p := beginning(e)
		p.key = fmt.Sprintf("%s[%s]", at.key, nameOf(e, i))
		mapping(r, e, p, &b.items[i])
	}
}

// element is an empty T: how a walk over the types goes on.
func (b *blocks[T]) element() any { return new(T) }

// beginning is where a node begins; a block mapping's own token is its first colon.
func beginning(n ast.Node) place {
	if m, ok := n.(ast.MapNode); ok {
		if it := m.MapRange(); n.GetToken().Type == token.MappingValueType && it.Next() {
			return position(it.Key().GetToken())
		}
	}
	return position(n.GetToken())
}

// nameOf is how an entry of a list is called in messages: by its name, else by its number from 0.
func nameOf(n ast.Node, i int) string {
	if m, ok := n.(ast.MapNode); ok {
		for it := m.MapRange(); it.Next(); {
			if it.Key().GetToken().Value != "name" || it.Value() == nil {
				continue
			}
			if v, ok := it.Value().(ast.ScalarNode); ok && validName(v.GetToken().Value) {
				return v.GetToken().Value
			}
		}
	}
	return fmt.Sprint(i)
}

// mapping fills a struct of file.go from a node.
func mapping(r *report, n ast.Node, at place, into any) {
	b := into.(holder).self()
	*b = block{place: at, set: true}
	m, ok := n.(ast.MapNode)
	if !ok {
		b.bad = true
		r.bad(at, "keys and values are wanted here: %s", strings.Join(keysOf(into), ", "))
		return
	}
	first := make(map[string]int)
	for it := m.MapRange(); it.Next(); {
		p := position(it.Key().GetToken())
		key := it.Key().GetToken().Value
		p.key = join(at.key, printable(key))
		if line, twice := first[key]; twice {
			r.bad(p, "is given twice; the first is on line %d", line)
			continue
		}
		first[key] = p.line
		entry(r, key, p, it.Value(), into)
	}
}

// entry fills one key of a mapping.
func entry(r *report, key string, p place, value ast.Node, into any) {
	for _, f := range fields(into) {
		if f.key != key {
			continue
		}
		switch t := f.into.(type) {
		case *scalar: // stands where its value does; lists and mappings where their key does
			if v := beginning(value); value.Type() != ast.NullType {
				p.line, p.col = v.line, v.col
			}
			t.fill(r, value, p)
		case filler:
			t.fill(r, value, p)
		case holder:
			mapping(r, value, p, t)
		}
		return
	}
	r.unknown(key, p, into)
}
