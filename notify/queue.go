package notify

// maxWaiting bounds the events that wait while a command runs. When there are more, the oldest of them is skipped: what counts is what the node is now, and
// that is always the last in the queue.
const maxWaiting = 8

// event is a State with its place in the order.
type event struct {
	State
	id       uint64 // rises by one with each change, told or skipped
	previous Event  // what the node was before it
}

// queue keeps the events that wait. It is a value without locks.
type queue struct {
	events  []event
	skipped int // since the last pop
}

func (q *queue) push(e event) {
	if len(q.events) == maxWaiting {
		q.events = append(q.events[:0], q.events[1:]...)
		q.skipped++
	}
	q.events = append(q.events, e)
}

// pop returns the oldest event, and how many before it were skipped.
func (q *queue) pop() (e event, skipped int, ok bool) {
	if len(q.events) == 0 {
		return event{}, 0, false
	}
	e, skipped = q.events[0], q.skipped
	q.events, q.skipped = append(q.events[:0], q.events[1:]...), 0
	return e, skipped, true
}
