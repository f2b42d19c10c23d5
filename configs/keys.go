package configs

import (
	"reflect"
	"strings"
)

// field is a key of a mapping and where its value goes.
type field struct {
	key  string
	into any // a filler or a holder
}

// fields lists the keys of a struct of file.go, in its order.
func fields(into any) []field { return fieldsOf(reflect.ValueOf(into).Elem()) }

func fieldsOf(v reflect.Value) []field {
	var fs []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch key := f.Tag.Get("key"); {
		case key != "":
			fs = append(fs, field{key, v.Field(i).Addr().Interface()})
		case f.Anonymous && f.Type != reflect.TypeFor[block](): // what several mappings have in common
			fs = append(fs, fieldsOf(v.Field(i))...)
		}
	}
	return fs
}

// unknown reports a key that is not known here, as helpfully as it can.
func (r *report) unknown(key string, p place, into any) {
	if len(r.problems) > maxProblems { // it will not be shown, and advice takes time
		r.bad(p, "unknown key")
		return
	}
	here := keysOf(into)
	if has := laterKey(general(p.key)); has != "" {
		r.bad(p, "comes in a later version; this version has %s", has)
		return
	}
	if m := didYouMean(key, here); m != "" {
		excuse(m, p, into)
		r.bad(p, "unknown key; did you mean %s?", m)
		return
	}
	for _, k := range knownKeys() {
		if k == key || strings.HasSuffix(k, "."+key) {
			r.bad(p, "unknown key here; there is %s", k)
			return
		}
	}
	r.bad(p, "unknown key; allowed here: %s", strings.Join(here, ", "))
}

// excuse keeps what is meant by a mistyped key, a list or a mapping, from being missed as well.
func excuse(key string, p place, into any) {
	for _, f := range fields(into) {
		if h, ok := f.into.(holder); ok && f.key == key && !h.self().set {
			*h.self() = block{place: p, set: true, bad: true}
		}
	}
}

func keysOf(into any) []string {
	var keys []string
	for _, f := range fields(into) {
		keys = append(keys, f.key)
	}
	return keys
}

// knownKeys lists all keys of the file by their general path, such as listeners[].bind.
func knownKeys() []string {
	var keys []string
	var walk func(path string, into any)
	walk = func(path string, into any) {
		for _, f := range fields(into) {
			p := join(path, f.key)
			keys = append(keys, p)
			switch t := f.into.(type) {
			case interface{ element() any }:
				walk(p+"[]", t.element())
			case holder:
				walk(p, t)
			}
		}
	}
	walk("", new(fileConfig))
	return keys
}

// general turns listeners[web].bind into listeners[].bind.
func general(path string) string {
	var b strings.Builder
	inside := false
	for _, c := range path {
		switch {
		case c == '[':
			inside = true
			b.WriteString("[]")
		case c == ']':
			inside = false
		case !inside:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// printable is a key as it can stand in a message.
func printable(key string) string {
	if validName(key) {
		return key
	}
	return show(key)
}
