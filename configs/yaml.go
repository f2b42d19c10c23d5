package configs

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxFile  = 1 << 20 // bytes; a pool of 1,000 backends needs 60 KiB
	maxDepth = 16      // the file needs 5; the YAML parser recurses, and Go cannot recover from a stack that overflows
	maxKeys  = 1000    // of one mapping; the largest has 17. The parser recurses once more for each, and takes the square of their number
)

// tree reads YAML as far as its syntax goes. It returns nil if it has reported problems.
func (r *report) tree(data []byte) ast.Node {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	if r.bytes(data) {
		return nil
	}
	text := string(data)
	tokens := lexer.Tokenize(text)
	if r.tokens(tokens) {
		return nil
	}
	f, err := parse(tokens)
	if err != nil {
		r.syntax(err, text)
		return nil
	}
	var body ast.Node
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			r.bad(beginning(d.Body), "a second document begins here; one file is one configuration: remove the --- between them")
			return nil
		}
		body = d.Body
	}
	if body == nil || body.Type() == ast.NullType || body.Type() == ast.CommentType {
		r.bad(place{line: 1, col: 1}, "the file is empty; cluster and vip are needed")
		return nil
	}
	return body
}

// parse guards against a panic in the YAML parser: it reads what an operator wrote, and a stack trace tells them nothing.
func parse(tokens token.Tokens) (f *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("the YAML parser gave up: %v", p)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// bytes reports what is wrong before there are tokens.
func (r *report) bytes(data []byte) bool {
	if len(data) > maxFile {
		r.bad(place{}, "the file is too large; at most %d bytes are read", maxFile)
		return true
	}
	for i, line := range bytes.Split(data, []byte("\n")) {
		r.widths = append(r.widths, utf8.RuneCount(line))
		at := place{line: i + 1, col: 1}
		indent := len(line) - len(bytes.TrimLeft(line, " \t"))
		if tab := bytes.IndexByte(line[:indent], '\t'); tab >= 0 && indent < len(line) && line[indent] != '#' {
			at.col = tab + 1
			r.bad(at, "a tab in the indentation; YAML wants blanks")
		}
		for j, c := range string(line) {
			if c == utf8.RuneError && !bytes.HasPrefix(line[j:], []byte("\ufffd")) || c < ' ' && c != '\t' || c == 0x7f {
				at.col = utf8.RuneCount(line[:j]) + 1
				r.bad(at, "byte 0x%02x is not text; the file must be UTF-8 without control characters", line[j])
				break
			}
		}
	}
	return len(r.problems) > 0
}

// tokens refuses what this file has no use for, and what the parser would follow too deep.
func (r *report) tokens(tokens token.Tokens) bool {
	var n nesting
	for _, t := range tokens {
		at := position(t)
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			r.bad(at, "%s: anchors, aliases and merge keys are not read; write the value out, or in quotes if it is meant to begin with %s", show(t.Value), t.Value)
		case token.TagType:
			r.bad(at, "%s: tags are not read; leave it out, or put the value in quotes", show(t.Value))
		case token.MappingKeyType:
			r.bad(at, "a key that begins with ? is not read; write key: value")
		case token.DirectiveType:
			r.bad(at, "directives (%%) are not read; remove the line")
		}
		if why := n.follow(t, at); why != "" {
			r.bad(at, "%s", why)
			return true
		}
	}
	return len(r.problems) > 0
}

// nesting follows how deep tokens are nested, and how many keys a mapping has, which the parser follows by recursion, too.
type nesting struct {
	flow    int // brackets and braces
	dashes  int // one after the other
	columns []column
}

// column is where the keys of a mapping stand, and how many there are.
type column struct{ col, keys int }

// follow takes the next token; it says what is too much.
func (n *nesting) follow(t *token.Token, at place) string {
	if t.Type != token.SequenceEntryType {
		n.dashes = 0
	}
	switch t.Type {
	case token.MappingStartType, token.SequenceStartType:
		n.flow++
	case token.MappingEndType, token.SequenceEndType:
		n.flow = max(n.flow-1, 0)
	case token.SequenceEntryType: // ends the mapping of the entry before
		n.dashes++
		n.pop(at.col + 1)
	case token.MappingValueType:
		if t.Prev != nil && n.flow == 0 {
			n.key(position(t.Prev).col)
		}
	}
	switch {
	case n.flow > maxDepth || n.dashes > maxDepth || len(n.columns) > maxDepth:
		return fmt.Sprintf("nested deeper than %d levels", maxDepth)
	case len(n.columns) > 0 && n.columns[len(n.columns)-1].keys > maxKeys:
		return fmt.Sprintf("more than %d keys in one mapping", maxKeys)
	}
	return ""
}

// pop leaves the mappings whose keys stand at a column or right of it.
func (n *nesting) pop(col int) {
	for len(n.columns) > 0 && n.columns[len(n.columns)-1].col >= col {
		n.columns = n.columns[:len(n.columns)-1]
	}
}

func (n *nesting) key(col int) {
	n.pop(col + 1)
	if len(n.columns) == 0 || n.columns[len(n.columns)-1].col < col {
		n.columns = append(n.columns, column{col: col})
	}
	n.columns[len(n.columns)-1].keys++
}

// syntax reports the first error of the parser, which is the only one that it tells.
func (r *report) syntax(err error, text string) {
	var ye yaml.Error
	if !errors.As(err, &ye) || ye.GetToken() == nil {
		r.bad(place{line: 1, col: 1}, "not YAML: %v", err)
		return
	}
	at := position(ye.GetToken())
	lines := strings.Split(text, "\n")
	at.line = min(at.line, len(lines))
	hint := ""
	switch line := lines[at.line-1]; {
	case strings.Contains(line, "]:") && !strings.Contains(line, `"[`) && !strings.Contains(line, "'["):
		hint = `; an IPv6 address with a port needs quotes: "[2001:db8::1]:80"`
	case strings.Contains(line, "::") && strings.ContainsAny(line, "[{"):
		hint = "; an IPv6 address within brackets or braces needs quotes"
	case !strings.ContainsAny(line, " \t#") && strings.Contains(line, ":") && !strings.HasSuffix(line, ":"):
		hint = "; a blank is wanted after the colon"
	}
	message := strings.TrimSpace(strings.SplitN(ye.GetMessage(), "\n", 2)[0])
	r.bad(at, "not YAML: %s%s", message, hint)
}

// position is where a token stands; the scanner counts some columns from 0.
func position(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{line: 1, col: 1}
	}
	return place{line: max(t.Position.Line, 1), col: max(t.Position.Column, 1)}
}
