package differential

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// seen is a request as the backend got it.
type seen struct {
	method, target string
	fields         []string // as they came
	body           string
	trailer        []string
	whole          bool // it came to its end
}

// backend answers everybody and remembers what it was asked. What proxies send is well-formed, so its reader is simple.
type backend struct {
	addr string
	mu   sync.Mutex // guards got
	got  []*seen
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{addr: l.Addr().String()}
	var conns sync.WaitGroup
	t.Cleanup(conns.Wait)
	t.Cleanup(func() { l.Close() })
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			conns.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for err == nil {
					err = b.serve(c, r)
				}
			})
		}
	})
	return b
}

// take returns what was asked since the last time.
func (b *backend) take() []seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	var got []seen
	for _, s := range b.got {
		got = append(got, *s)
	}
	b.got = nil
	return got
}

func (b *backend) serve(c net.Conn, r *bufio.Reader) error {
	first, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	words := strings.Fields(first)
	if len(words) < 2 {
		return io.ErrUnexpectedEOF
	}
	s := &seen{method: words[0], target: words[1]}
	b.mu.Lock()
	b.got = append(b.got, s)
	b.mu.Unlock()
	length, chunked, expects := 0, false, false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		b.mu.Lock()
		s.fields = append(s.fields, line)
		b.mu.Unlock()
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.ToLower(name) {
		case "content-length":
			length, _ = strconv.Atoi(value)
		case "transfer-encoding":
			chunked = true
		case "expect":
			expects = true
		}
	}
	if expects {
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	body, trailer, err := readBody(r, length, chunked)
	b.mu.Lock()
	s.body, s.trailer, s.whole = body, trailer, err == nil
	b.mu.Unlock()
	if err != nil {
		return err
	}
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
	switch {
	case strings.HasPrefix(s.target, "/204"):
		answer = "HTTP/1.1 204 No Content\r\n\r\n"
	case strings.HasPrefix(s.target, "/304"):
		answer = "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"
	case s.method != "HEAD":
		answer += "ok"
	}
	_, err = io.WriteString(c, answer)
	return err
}

func readBody(r *bufio.Reader, length int, chunked bool) (text string, trailer []string, err error) {
	var body strings.Builder
	if !chunked {
		_, err := io.CopyN(&body, r, int64(length))
		return body.String(), nil, err
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return body.String(), nil, err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(size, 16, 32)
		if err != nil {
			return body.String(), nil, fmt.Errorf("chunk size %q: %w", line, err)
		}
		if n == 0 {
			break
		}
		if _, err := io.CopyN(&body, r, n); err != nil {
			return body.String(), nil, err
		}
		if _, err := r.ReadString('\n'); err != nil {
			return body.String(), nil, err
		}
	}
	for {
		line, err := r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if err != nil || line == "" {
			return body.String(), trailer, err
		}
		trailer = append(trailer, line)
	}
}
