package journal

import (
	"encoding/json"
	"strings"
	"time"
)

// Span is a duration as far as it is known: at least Min, and at most Max, unless it is Open.
type Span struct {
	Min, Max time.Duration
	Open     bool // nobody here can say how long at most
}

// Exactly is a duration that is known.
func Exactly(d time.Duration) Span { return Between(d, d) }

// AtMost is a duration of which only the upper bound is known.
func AtMost(d time.Duration) Span { return Between(0, d) }

// Between is a duration of which two bounds are known; below zero nothing lasts.
func Between(a, b time.Duration) Span {
	a, b = max(a, 0), max(b, 0)
	return Span{Min: min(a, b), Max: max(a, b)}
}

// Unknown is a duration of which nothing is known.
func Unknown() Span { return Span{Open: true} }

// String says it as precisely as it is known: "2.1ms", "at most 9.8ms", "51ms to 71ms", "at least 1s", "unknown".
func (s Span) String() string {
	switch {
	case s.Open && s.Min == 0:
		return "unknown"
	case s.Open:
		return "at least " + short(s.Min)
	case short(s.Min) == short(s.Max) || s.Max-s.Min < 200*time.Microsecond:
		return short(s.Max)
	case s.Min == 0:
		return "at most " + short(s.Max)
	}
	return short(s.Min) + " to " + short(s.Max)
}

// short rounds to what matters.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		s := d.Round(time.Second).String()
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		return s
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

type spanJSON struct {
	Min float64  `json:"min_ms"`
	Max *float64 `json:"max_ms,omitempty"` // left out: nobody can say
}

// MarshalJSON writes milliseconds: {"min_ms": 0, "max_ms": 9.8}.
func (s Span) MarshalJSON() ([]byte, error) {
	j := spanJSON{Min: ms(s.Min)}
	if !s.Open {
		m := ms(s.Max)
		j.Max = &m
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Span) UnmarshalJSON(b []byte) error {
	var j spanJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*s = Span{Min: unms(j.Min), Open: j.Max == nil}
	if j.Max != nil {
		*s = Between(s.Min, unms(*j.Max))
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// unms keeps figures from a file within a century.
func unms(f float64) time.Duration {
	const century = 100 * 365 * 24 * time.Hour
	return time.Duration(min(max(f, 0), ms(century)) * float64(time.Millisecond))
}
