package doctor

import (
	"fmt"
	"io"
	"strings"
)

// Write tells the findings to people: what is wrong first, what to do below each.
func Write(w io.Writer, all []Finding) error {
	width := 0
	for _, f := range all {
		width = max(width, len(f.About))
	}
	var b strings.Builder
	counts := map[Verdict]int{}
	for _, v := range []Verdict{Wrong, Note, OK} {
		for _, f := range all {
			if f.Verdict != v {
				continue
			}
			counts[v]++
			fmt.Fprintf(&b, "%-5s  %-*s  %s\n", v, width, f.About, f.What)
			if f.Do != "" {
				fmt.Fprintf(&b, "%-5s  %-*s  -> %s\n", "", width, "", f.Do)
			}
		}
	}
	fmt.Fprintf(&b, "%d wrong, %d to note, %d ok\n", counts[Wrong], counts[Note], counts[OK])
	_, err := io.WriteString(w, b.String())
	return err
}
