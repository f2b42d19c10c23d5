package configs

import "strings"

// didYouMean finds the candidate that is closest to a word, if one is close enough to be meant; else "".
func didYouMean(word string, candidates []string) string {
	if len(word) > 64 {
		return ""
	}
	word = strings.ToLower(word)
	best, bestDistance := "", 3
	for _, c := range candidates {
		low := strings.ToLower(c)
		if fold(low) == fold(word) || len(low) > 3 && strings.HasPrefix(word, low) || len(word) > 3 && strings.HasPrefix(low, word) {
			return c
		}
		d := distance(word, low)
		// A third of the letters may differ: "tcq" is close to "tcp", "x" is close to nothing.
		if d < bestDistance && 3*d <= max(len(low), 3) {
			best, bestDistance = c, d
		}
	}
	return best
}

// fold drops what people vary in keys: keyFile, key-file and key_file are one.
func fold(s string) string {
	return strings.TrimSuffix(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s), "s")
}

// distance is the number of letters inserted, deleted, changed or swapped with their neighbour (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// meant is " (did you mean x?)" or nothing.
func meant(word string, candidates []string) string {
	if c := didYouMean(word, candidates); c != "" {
		return " (did you mean " + c + "?)"
	}
	return ""
}
