package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// noise returns n bytes that look like nothing, and the same ones each time.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func TestBodiesArriveWhole(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, web(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // net/http would stop reading when it begins to answer
		if r.URL.Query().Get("length") != "" {
			w.Header().Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
		}
		w.Write(b)
	}))
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for _, size := range []int{1, 100, bufferSize - 1, bufferSize, bufferSize + 1, 3 * bufferSize, 1 << 20, 5<<20 + 3} {
		for _, chunked := range []bool{false, true} {
			for _, length := range []string{"", "1"} {
				if chunked && length != "" {
					continue
				}
				want := noise(size)
				var body io.Reader = bytes.NewReader(want)
				if chunked {
					body = io.MultiReader(body) // hides the length
				}
				resp, err := client.Post("http://"+l.addr+"/?length="+length, "", body)
				if err != nil {
					t.Fatalf("%d bytes, chunked %v: %v", size, chunked, err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || sha256.Sum256(got) != sha256.Sum256(want) {
					t.Errorf("%d bytes, chunked %v, length %q: got %d bytes back, %v", size, chunked, length, len(got), err)
				}
			}
		}
	}
}

func TestManyClientsGetTheirOwnAnswers(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, web(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %x", r.URL.Path, sha256.Sum256(b))
	}))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 50 {
				body := noise(i * 997)
				path := fmt.Sprintf("/%d/%d", worker, i)
				resp, err := client.Post("http://"+l.addr+path, "", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				got, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if want := fmt.Sprintf("%s %x", path, sha256.Sum256(body)); string(got) != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestBackendDecidesAboutContinue(t *testing.T) {
	told := make(chan string, 1)
	l := newLab(t, ListenerConfig{Protocol: HTTP}, tcpBackend(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if req.URL.Path == "/no" {
			io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		b, _ := io.ReadAll(req.Body)
		told <- string(b)
		io.WriteString(c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}))
	conn := l.dial()
	r := bufio.NewReader(conn)
	io.WriteString(conn, "PUT /yes HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if line, _ := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("before the body the client is told %q, want 100", line)
	}
	r.ReadString('\n')
	io.WriteString(conn, "body")
	if resp, _ := readResponse(t, r, "PUT"); resp.StatusCode != 201 {
		t.Errorf("status %d, want 201", resp.StatusCode)
	}
	if got := <-told; got != "body" {
		t.Errorf("backend got %q", got)
	}

	conn = l.dial()
	io.WriteString(conn, "PUT /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	resp, _ := readResponse(t, bufio.NewReader(conn), "PUT")
	if resp.StatusCode != 413 || !resp.Close {
		t.Errorf("status %d close %v, want 413 and a closed connection", resp.StatusCode, resp.Close)
	}
}

func TestEarlyAnswerEndsTheBody(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, tcpBackend(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		c.CloseWrite()
		io.CopyN(io.Discard, r, 1<<10)
	}))
	conn := l.dial()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
	var stopped sync.WaitGroup
	stopped.Go(func() { // keeps sending until it is stopped
		for {
			if _, err := conn.Write(make([]byte, 1024)); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	resp, body := readResponse(t, bufio.NewReader(conn), "POST")
	if resp.StatusCode != 403 || body != "no" || !resp.Close {
		t.Errorf("got %d %q close %v, want the early answer and a closed connection", resp.StatusCode, body, resp.Close)
	}
	conn.Close()
	stopped.Wait()
}

func TestAnswersStreamAsTheyCome(t *testing.T) {
	next := make(chan struct{})
	l := newLab(t, ListenerConfig{Protocol: HTTP}, web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
	}))
	conn := l.dial()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	events := bufio.NewReader(resp.Body)
	for i := range 3 {
		// The backend sends the next event only after the client has this one.
		if line, err := events.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d: %q, %v", i, line, err)
		}
		events.ReadString('\n')
		next <- struct{}{}
	}
}

func TestBothDirectionsStreamAtOnce(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, tcpBackend(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
		io.Copy(c, req.Body)
	}))
	conn := l.dial()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 3)
	for range 3 {
		io.WriteString(conn, "abc")
		if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "abc" {
			t.Fatalf("echo %q, %v", buf, err)
		}
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
		t.Errorf("after the echo: %q, %v", rest, err)
	}
}

func TestWebsocketIsATunnelWithAllBytes(t *testing.T) {
	l := newLab(t, ListenerConfig{Protocol: HTTP}, tcpBackend(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if req.Header.Get("Upgrade") != "websocket" || req.Header.Get("Connection") != "Upgrade" {
			io.WriteString(c, "HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n")
			return
		}
		// The first frame travels together with the header.
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nfirst")
		io.Copy(c, r)
	}))
	conn := l.dial()
	r := bufio.NewReader(conn)
	// So does the client's.
	io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: y\r\n\r\nearly")
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Sec-Websocket-Accept") != "x" {
		t.Fatalf("switch: %+v, %v", resp, err)
	}
	buf := make([]byte, len("firstearly"))
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "firstearly" {
		t.Fatalf("got %q, %v", buf, err)
	}
	if n := l.proxy.Active(); n != 1 {
		t.Errorf("an open websocket counts as %d, want 1", n)
	}
	io.WriteString(conn, strings.Repeat("x", 100000))
	conn.CloseWrite()
	if rest, err := io.ReadAll(r); err != nil || len(rest) != 100000 {
		t.Errorf("echo of %d bytes, %v; want 100000", len(rest), err)
	}
}

func TestRefusedWebsocketIsAnOrdinaryAnswer(t *testing.T) {
	addr, _ := script(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", okAnswer)
	l := newLab(t, ListenerConfig{Protocol: HTTP}, addr)
	got := l.talk("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.HasSuffix(got, "ok") {
		t.Errorf("got %q, want 403 and then the next answer", got)
	}
}
