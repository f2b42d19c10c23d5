package limit

import (
	"errors"
	"sync/atomic"
)

// ErrBudget means that what is left is reserved.
var ErrBudget = errors.New("no descriptors are left but the reserve")

// Budget is a number of things, such as descriptors, that may be taken by all together. It may be used from any goroutine.
type Budget struct {
	most int64
	used atomic.Int64
}

// NewBudget returns a budget of so many things.
func NewBudget(most int) *Budget { return &Budget{most: int64(most)} }

// Take takes n things, to be given back. The error is ErrBudget, and then nothing was taken.
func (b *Budget) Take(n int) error {
	if b.used.Add(int64(n)) > b.most {
		b.used.Add(-int64(n))
		return ErrBudget
	}
	return nil
}

// Give gives n things back.
func (b *Budget) Give(n int) { b.used.Add(-int64(n)) }

// Used returns how many are taken.
func (b *Budget) Used() int { return int(b.used.Load()) }
