package proxy

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tandem-lb/tandem/proxy/http1"
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
	begun             bool   // the client has seen something of the answer
	what              string // method and target, for the log

	body bodyPump
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
	w.what, w.began = "", time.Time{}
	w.req.Method = nil
	p.works.Put(w)
}

// bodyPump carries a request's body to the backend while the answer is waited for.
type bodyPump struct {
	chunked bool
	left    int64
	chunks  http1.Chunks
	done    chan struct{} // one message when the goroutine has ended
	running bool          // the goroutine's end was not seen yet
	stop    atomic.Bool   // asks it to end
	last    atomic.Bool   // it is about to write the last of the body
	failed  atomic.Bool   // it has ended by the client's fault, and wakes who waits for the answer

	// Written before done is sent to.
	complete bool
	status   int // what to tell the client
	reason   string
}

// appendPage appends a whole response with a short text.
func appendPage(dst []byte, status int, reason string, head, last bool) []byte {
	text := statusText(status)
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, text...)
	dst = append(dst, "\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"...)
	if status == 503 {
		dst = append(dst, "Retry-After: 1\r\n"...)
	}
	if last {
		dst = append(dst, "Connection: close\r\n"...)
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len("000 ")+len(text)+len(": ")+len(reason)+len("\n")), 10)
	dst = append(dst, "\r\n\r\n"...)
	if head {
		return dst
	}
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, text...)
	dst = append(dst, ": "...)
	dst = append(dst, reason...)
	return append(dst, '\n')
}

func statusText(status int) string {
	switch status {
	case 400:
		return "Bad Request"
	case 408:
		return "Request Timeout"
	case 414:
		return "URI Too Long"
	case 417:
		return "Expectation Failed"
	case 431:
		return "Request Header Fields Too Large"
	case 501:
		return "Not Implemented"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Timeout"
	case 505:
		return "HTTP Version Not Supported"
	}
	return "Error"
}
