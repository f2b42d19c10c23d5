package http1

import "unsafe"

// Any reports whether accept takes the value of one of the fields of that name, which is in lower case. Only fields that are passed
// on are looked at: others mean nothing to whoever the message is for. The string is valid only within accept.
func (h *Header) Any(name string, accept func(value string) bool) bool {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Kind != Other || f.Hop || !fold(h.Name(f), name) {
			continue
		}
		v := h.Value(f)
		if accept(unsafe.String(unsafe.SliceData(v), len(v))) {
			return true
		}
	}
	return false
}

// AppendFieldsExcept is AppendFields without the fields whose name drop takes.
func (h *Header) AppendFieldsExcept(dst []byte, kinds Kinds, drop func(name []byte) bool) []byte {
	for i := range h.Fields {
		f := &h.Fields[i]
		if kinds&(1<<f.Kind) != 0 && !f.Hop && !drop(h.Name(f)) {
			dst = append(dst, h.raw[f.start:f.end]...)
		}
	}
	return dst
}

// Find returns the value of the first field of that name, which is in lower case and of a kind that has none of its own; nil if there is none.
func (h *Header) Find(name string) []byte {
	for i := range h.Fields {
		if f := &h.Fields[i]; f.Kind == Other && !f.Hop && fold(h.Name(f), name) {
			return h.Value(f)
		}
	}
	return nil
}
