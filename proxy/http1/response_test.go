package http1

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"testing"
)

func parseResponse(raw string) (*Response, error) {
	b := []byte(raw)
	n, err := HeaderEnd(b, 0)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errShort
	}
	r := &Response{}
	return r, r.Parse(b[:n])
}

var refusedResponses = []struct {
	name, raw string
	want      error
}{
	{"length beside coding", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", ErrLengthCoding},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", ErrLength},
	{"two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", ErrLength},
	{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\n", ErrLength},
	{"another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ErrCoding},
	{"coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ErrOldCoding},
	{"folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", ErrObsFold},
	{"bare LF", "HTTP/1.1 200 OK\nX: a\r\n\r\n", ErrBareLF},
	{"space before the colon", "HTTP/1.1 200 OK\r\nX : a\r\n\r\n", ErrFieldName},
	{"NUL in a value", "HTTP/1.1 200 OK\r\nX: a\x00\r\n\r\n", ErrFieldValue},
	{"bare CR in a value", "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n", ErrFieldValue},
	{"control character in the reason", "HTTP/1.1 200 O\x01K\r\n\r\n", ErrStatusLine},
	{"bare CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n", ErrStatusLine},
	{"two digits", "HTTP/1.1 20 OK\r\n\r\n", ErrStatusLine},
	{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", ErrStatusLine},
	{"status below 100", "HTTP/1.1 099 OK\r\n\r\n", ErrStatusLine},
	{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", ErrStatusLine},
	{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", ErrStatusLine},
	{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n", ErrStatusLine},
	{"no status", "HTTP/1.1\r\n\r\n", ErrStatusLine},
}

func TestAmbiguousResponsesAreRefused(t *testing.T) {
	for _, c := range refusedResponses {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parseResponse(c.raw); !errors.Is(err, c.want) {
				t.Errorf("%q: %v, want %v", c.raw, err, c.want)
			}
		})
	}
}

func TestResponsesAreUnderstood(t *testing.T) {
	type want struct {
		status, minor                   int
		reason                          string
		length                          int64
		chunked, keep, upgrade, interim bool
	}
	for _, c := range []struct {
		name, raw string
		want      want
	}{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", want{200, 1, "OK", 5, false, true, false, false}},
		{"no reason", "HTTP/1.1 200 \r\n\r\n", want{200, 1, "", -1, false, true, false, false}},
		{"not even a space", "HTTP/1.1 200\r\n\r\n", want{200, 1, "", -1, false, true, false, false}},
		{"long reason", "HTTP/1.1 404 Not Found \xe9\r\n\r\n", want{404, 1, "Not Found \xe9", -1, false, true, false, false}},
		{"old server", "HTTP/1.0 200 OK\r\n\r\n", want{200, 0, "OK", -1, false, false, false, false}},
		{"chunked in capitals", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n", want{200, 1, "OK", -1, true, false, false, false}},
		{"interim", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", want{103, 1, "Early Hints", -1, false, true, false, true}},
		{"websocket", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", want{101, 1, "Switching Protocols", -1, false, true, true, false}},
		{"switch to something else", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", want{101, 1, "Switching Protocols", -1, false, true, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := parseResponse(c.raw)
			if err != nil {
				t.Fatalf("%q: %v", c.raw, err)
			}
			got := want{r.Status, r.Minor, string(r.Reason), r.Length, r.Chunked, r.Keep, r.Upgrade, r.Interim()}
			if got != c.want {
				t.Errorf("%q:\n got %+v\nwant %+v", c.raw, got, c.want)
			}
		})
	}
}

// FuzzResponse holds that net/http, as a client would, sees the same end of the same answer.
func FuzzResponse(f *testing.F) {
	for _, c := range refusedResponses {
		f.Add([]byte(c.raw))
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: a\r\nA: b\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := HeaderEnd(b, 0)
		if err != nil || n == 0 {
			return
		}
		r := &Response{}
		if r.Parse(b[:n]) != nil || r.NoBody(false) {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b[:n])), nil)
		if err != nil {
			return
		}
		if theirs.StatusCode != r.Status || theirs.ContentLength != r.Length || (len(theirs.TransferEncoding) > 0) != r.Chunked {
			t.Fatalf("%q: net/http reads %d length %d coding %v, we read %d length %d chunked %v", b[:n],
				theirs.StatusCode, theirs.ContentLength, theirs.TransferEncoding, r.Status, r.Length, r.Chunked)
		}
	})
}
