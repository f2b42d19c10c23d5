package sni

import (
	"iter"
	"strings"
)

// Canonical returns a host name in lower case, without the dot at its end. It reports whether it can be the name of a server:
// letters, digits, dashes, underscores and dots.
func Canonical(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxName {
		return "", false
	}
	lower := true
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		case c >= 'A' && c <= 'Z':
			lower = false
		case c == '.' && i > 0 && name[i-1] != '.':
		default:
			return "", false
		}
	}
	if !lower {
		name = strings.ToLower(name)
	}
	return name, true
}

// IsHost reports whether an authority, such as the value of a Host field, is the host of that canonical name. Its port is not looked at.
func IsHost(authority []byte, name string) bool {
	if i := lastColon(authority); i >= 0 {
		authority = authority[:i]
	}
	if n := len(authority); n == len(name)+1 && authority[n-1] == '.' {
		authority = authority[:n-1]
	}
	if len(authority) != len(name) {
		return false
	}
	for i, c := range authority {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

func lastColon(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == ':' {
			return i
		}
	}
	return -1
}

// Names finds something by a server's name. The zero value has nothing.
type Names[T comparable] struct {
	exact, wild map[string]T
}

// Add has a canonical name, or *. with one behind it, lead to v. It reports whether the name is new.
func (n *Names[T]) Add(name string, v T) bool {
	into := &n.exact
	if under, ok := strings.CutPrefix(name, "*"); ok {
		into, name = &n.wild, under
	}
	if *into == nil {
		*into = make(map[string]T)
	}
	if _, twice := (*into)[name]; twice {
		return false
	}
	(*into)[name] = v
	return true
}

// Find returns what a canonical name leads to. As in certificates, a wildcard stands for one label, and the name
// itself goes before a wildcard.
func (n *Names[T]) Find(name string) (T, bool) {
	if v, ok := n.exact[name]; ok {
		return v, true
	}
	if i := strings.IndexByte(name, '.'); i > 0 {
		v, ok := n.wild[name[i:]]
		return v, ok
	}
	var none T
	return none, false
}

// All yields what the names lead to, each once.
func (n *Names[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		seen := make(map[T]bool)
		for _, m := range []map[string]T{n.exact, n.wild} {
			for _, v := range m {
				if !seen[v] && !yield(v) {
					return
				}
				seen[v] = true
			}
		}
	}
}
