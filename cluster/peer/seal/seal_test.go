package seal

import (
	"bytes"
	"testing"
)

func TestKeysOfDifferentSecretsDiffer(t *testing.T) {
	a, err := NewKey(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewKey(bytes.Repeat([]byte{2}, 32))
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.ID == b.ID || a.ID == o.ID || b.ID == o.ID {
		t.Errorf("ids %x %x %x, want three different ones", a.ID, b.ID, o.ID)
	}
	if !o.Open || a.Open || o.ID != OpenID() {
		t.Errorf("open: %v %v, want only the public key to be open", o.Open, a.Open)
	}
}

// A key that a bug has made empty must not turn into "no key".
func TestShortKeysAreRefused(t *testing.T) {
	for _, k := range [][]byte{{}, make([]byte, 31), make([]byte, 33)} {
		if _, err := NewKey(k); err == nil {
			t.Errorf("NewKey of %d bytes: no error", len(k))
		}
	}
}

func TestPurposeAndSaltSeparateKeys(t *testing.T) {
	k, _ := NewKey(nil)
	a, _ := k.Derive("a", nil, 32)
	b, _ := k.Derive("b", nil, 32)
	c, _ := k.Derive("a", []byte("salt"), 32)
	if bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Error("two purposes or salts gave the same key")
	}
}

func TestSealBreaksWithEachBit(t *testing.T) {
	m := NewMAC(make([]byte, 32))
	sealed := m.Append([]byte("xxhello"), 2)[2:]
	if !m.Valid(sealed) {
		t.Fatal("own seal is not valid")
	}
	for i := range len(sealed) * 8 {
		sealed[i/8] ^= 1 << (i % 8)
		if m.Valid(sealed) {
			t.Fatalf("valid with bit %d turned", i)
		}
		sealed[i/8] ^= 1 << (i % 8)
	}
	for n := range len(sealed) {
		if m.Valid(sealed[:n]) {
			t.Fatalf("valid when cut to %d bytes", n)
		}
	}
}

func TestSealingAllocatesNothing(t *testing.T) {
	m := NewMAC(make([]byte, 32))
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		b := m.Append(append(buf, "hello"...), 0)
		if !m.Valid(b) {
			t.Fatal("not valid")
		}
	}); n != 0 {
		t.Errorf("%v allocations per seal and check, want 0", n)
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"lb1": true, "lb-1.example.org": true, "müller": true,
		"": false, "a b": false, "a\n": false, "a\x00": false, "\xff": false, string(bytes.Repeat([]byte("x"), 129)): false,
		"\u202egnp": false, // turns the direction of the rest of a log line
	} {
		if got := CheckName(name) == nil; got != ok {
			t.Errorf("CheckName(%q) ok = %v, want %v", name, got, ok)
		}
	}
}
