package route

import "slices"

// Editor changes a header. Its methods may be called from any goroutine.
type Editor struct {
	drop  []string
	lines []byte
	adds  []Field
}

func newEditor(e Edit) Editor {
	var ed Editor
	ed.drop = append(ed.drop, e.Remove...)
	for _, f := range e.Set {
		ed.drop = append(ed.drop, f.Name)
	}
	ed.adds = slices.Concat(e.Set, e.Add)
	for _, f := range ed.adds {
		ed.lines = append(ed.lines, f.Name+": "+f.Value+"\r\n"...)
	}
	return ed
}

func (e *Editor) orNil() *Editor {
	if len(e.drop) == 0 && len(e.adds) == 0 {
		return nil
	}
	return e
}

// Drops reports whether fields of that name, in whatever case, are taken out. A nil Editor drops nothing.
func (e *Editor) Drops(name []byte) bool {
	if e == nil {
		return false
	}
	for _, d := range e.drop {
		if len(d) == len(name) && sameFold(d, name) {
			return true
		}
	}
	return false
}

// Adds returns the fields to append. The caller must not change them.
func (e *Editor) Adds() []Field {
	if e == nil {
		return nil
	}
	return e.adds
}

// Lines returns the fields to append as they stand in an HTTP/1.1 header. The caller must not change them.
func (e *Editor) Lines() []byte {
	if e == nil {
		return nil
	}
	return e.lines
}

// sameFold compares two strings of the same length but for the case of ASCII letters.
func sameFold(a string, b []byte) bool {
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
