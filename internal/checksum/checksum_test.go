package checksum_test

import (
	"testing"

	"github.com/tandem-lb/tandem/internal/checksum"
)

func TestOf(t *testing.T) {
	example := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7} // RFC 1071, 3: their sum is ddf2
	if got := checksum.Of(0, example); got != 0x220d {
		t.Errorf("Of(%x) = %#x, want 0x220d", example, got)
	}
	if got := checksum.Of(0, append(example, 0x22, 0x0d)); got != 0 {
		t.Errorf("over data with its checksum: %#x, want 0", got)
	}
	if got := checksum.Of(checksum.Add(0, example[:4]), example[4:]); got != 0x220d {
		t.Errorf("in two pieces: %#x, want 0x220d", got)
	}
	if got := checksum.Of(0, []byte{0xab}); got != 0x54ff {
		t.Errorf("of one byte: %#x, want 0x54ff", got)
	}
}
