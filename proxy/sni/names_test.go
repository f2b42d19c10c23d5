package sni

import "testing"

func TestNamesAreFound(t *testing.T) {
	var n Names[string]
	for _, name := range []string{"a.example.org", "*.example.org", "*.b.example.org"} {
		if !n.Add(name, name) {
			t.Errorf("%s is not new", name)
		}
	}
	if n.Add("*.example.org", "again") {
		t.Error("a name is new the second time")
	}
	for name, want := range map[string]string{
		"a.example.org": "a.example.org", "c.example.org": "*.example.org", "x.b.example.org": "*.b.example.org",
		"example.org": "", "x.y.example.org": "", "": "", ".example.org": "",
	} {
		if got, ok := n.Find(name); got != want || ok != (want != "") {
			t.Errorf("Find(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
}

func TestHostIsComparedWithTheName(t *testing.T) {
	for authority, want := range map[string]bool{
		"a.b": true, "A.b": true, "a.b:443": true, "a.b.": true, "a.b.:443": true,
		"a.c": false, "xa.b": false, "a.b..": false, "a": false, "": false, ":443": false, "[::1]:443": false,
	} {
		if got := IsHost([]byte(authority), "a.b"); got != want {
			t.Errorf("IsHost(%q, a.b) = %v", authority, got)
		}
	}
}
