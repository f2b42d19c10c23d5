package tickets

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

func TestNodesAgreeOnKeys(t *testing.T) {
	secret, now := bytes.Repeat([]byte{7}, 32), time.Unix(1_800_000_000, 0)
	if a, b := Keys(secret, "web", now), Keys(bytes.Clone(secret), "web", now.UTC()); !slices.Equal(a, b) {
		t.Errorf("two nodes have %x and %x", a, b)
	}
	for _, other := range [][][32]byte{Keys(bytes.Repeat([]byte{8}, 32), "web", now), Keys(secret, "api", now)} {
		for _, k := range other {
			if slices.Contains(Keys(secret, "web", now), k) {
				t.Errorf("key %x is shared with another secret or context", k)
			}
		}
	}
}

func TestKeysRotateByTime(t *testing.T) {
	secret, now := []byte("s"), time.Unix(1_800_000_000, 0)
	issued := Keys(secret, "web", now)[0]
	for _, c := range []struct {
		after    time.Duration
		encrypts bool
		accepted bool
	}{
		{-Period, false, true}, // another node's clock is behind
		{-2 * Period, false, false},
		{0, true, true},
		{Period, false, true},
		{2 * Period, false, true},
		{3 * Period, false, false},
	} {
		keys := Keys(secret, "web", now.Add(c.after))
		if got := keys[0] == issued; got != c.encrypts {
			t.Errorf("after %v the key encrypts: %v, want %v", c.after, got, c.encrypts)
		}
		if got := slices.Contains(keys, issued); got != c.accepted {
			t.Errorf("after %v the key is accepted: %v, want %v", c.after, got, c.accepted)
		}
	}
}
