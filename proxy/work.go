package proxy

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tandem-lb/tandem/proxy/http1"
	"github.com/tandem-lb/tandem/proxy/pool"
	"github.com/tandem-lb/tandem/proxy/route"
)

// work is what one request needs while it is in hand. It is used again and again, so that requests
// allocate nothing and idle connections hold nothing.
type work struct {
	req    http1.Request
	resp   http1.Response
	chunks http1.Chunks // of the response
	out    []byte       // header and small body on their way out
	began  time.Time

	// Copies of what is needed after the client's buffer was used for something else.
	head, keep, again bool
	wantsMore         bool // the client may have sent another request already
	minor             int
	wants             pool.Request
	secure            bool       // asked by https; known where the pool has a cookie
	served            bool       // the backend has done what was asked of it
	repeats           *pool.Pool // whose budget the request uses
	begun             bool       // the client has seen something of the answer
	grpc              bool       // the client speaks gRPC
	grpcCode          int        // what it is told, if the status does not say it
	what              string     // method and target, for the log

	client netip.Addr // who asks
	ask    route.Request
	way    *way
	target []byte // made by a route

	body bodyPump
	acc  account
}

func newWork() *work {
	return &work{out: make([]byte, 0, 4<<10), body: bodyPump{done: make(chan struct{}, 1)}}
}

func (p *Proxy) borrow() *work { return p.works.Get().(*work) }

// maxKept bounds the buffer that a finished request leaves for the next.
const maxKept = 64 << 10

func (p *Proxy) giveBack(w *work) {
	if cap(w.out) > maxKept {
		return
	}
	w.what, w.began, w.wants, w.grpc = "", time.Time{}, pool.Request{}, false
	w.grpcCode = 0
	w.req.Method = nil
	p.works.Put(w)
}

// bodyPump carries a request's body to the backend while the answer is waited for.
type bodyPump struct {
	chunked  bool
	left     int64
	most     int64         // of the body; negative: no bound
	patience time.Duration // with a client that sends nothing
	pace     pace
	chunks   http1.Chunks
	done     chan struct{} // one message when the goroutine has ended
	running  bool          // the goroutine's end was not seen yet
	stop     atomic.Bool   // asks it to end
	moved    atomic.Uint64 // bytes of the body so far
	last     atomic.Bool   // it is about to write the last of the body
	failed   atomic.Bool   // it has ended by the client's fault, and wakes who waits for the answer

	// Written before done is sent to.
	kept     []byte // what was sent, as it was, in case that it has to be sent again
	lost     bool   // there was more of it than is kept
	complete bool
	status   int // what to tell the client
	reason   string
}

const plainText = "text/plain; charset=utf-8"
