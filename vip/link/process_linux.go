package link

import (
	"fmt"
	"math"
	"os"
	"strings"
	"unicode"
)

// processOf names the process behind a change, by the netlink port that asked for it: that is the process's id, unless it has several such sockets. Empty: the
// kernel by itself, or one that cannot be found, as `ip` that has ended.
func processOf(port uint32) string {
	if port == 0 || port > math.MaxInt32 {
		return ""
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", port))
	if err != nil {
		return ""
	}
	name := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(b))
	return fmt.Sprintf("%s[%d]", name, port)
}
