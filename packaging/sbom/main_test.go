package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestSBOMListsWhatTheBinaryIsMadeOf(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	var one, two bytes.Buffer
	if err := run([]string{self}, &one); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{self}, &two); err != nil || one.String() != two.String() {
		t.Errorf("the second one differs, or %v", err)
	}
	var d document
	if err := json.Unmarshal(one.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if d.SPDXVersion != "SPDX-2.3" || d.CreationInfo.Created != "2023-11-14T22:13:20Z" || len(d.Packages) < 2 || len(d.Packages) != len(d.Relationships) {
		t.Errorf("%+v", d)
	}
	if std := d.Packages[1]; std.Name != "stdlib" || !strings.HasPrefix(std.Refs[0].Locator, "pkg:golang/stdlib@go1.") {
		t.Errorf("the standard library: %+v", std)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	for _, args := range [][]string{nil, {"/none"}, {self}} {
		if err := run(args, &one); err == nil {
			t.Errorf("sbom %q: no error", args)
		}
	}
}
