package differential

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/proxy"
	"github.com/tandem-lb/tandem/proxy/pool"
)

var (
	update = flag.Bool("update", false, "rewrite table.md")
	peers  = flag.Bool("peers", false, "run HAProxy and nginx, too")
)

// patience is how long a client waits for more: longer than anything on this machine takes, shorter than any time limit of a proxy.
const patience = 1500 * time.Millisecond

// outcome is what became of an input.
type outcome struct {
	statuses []string
	end      string // how the connection ended: "", or "silence"
	got      []seen
}

// send plays an input against a proxy.
func send(t *testing.T, b *backend, addr string, in input) outcome {
	t.Helper()
	b.take()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw := in.raw
	if !in.cut {
		raw += last
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { // a proxy that has refused reads no more
		_, _ = io.WriteString(c, raw)
		if in.cut {
			_ = c.(*net.TCPConn).CloseWrite()
		}
	}()
	var o outcome
	methods := methodsOf(raw)
	r := bufio.NewReader(c)
	for i := 0; ; i++ {
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := r.Peek(1); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				o.end = "silence"
			}
			break
		}
		method := http.MethodGet
		if i < len(methods) {
			method = methods[i]
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			o.end = "not HTTP"
			break
		}
		if resp.StatusCode == 100 {
			o.statuses = append(o.statuses, "100")
			i--
			continue
		}
		o.statuses = append(o.statuses, fmt.Sprint(resp.StatusCode))
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode == 101 {
			break
		}
	}
	c.Close()
	o.got = b.take()
	return o
}

// methodsOf guesses the methods, by which answers are read: only HEAD matters.
func methodsOf(raw string) []string {
	all, _ := judge(raw)
	var methods []string
	for _, m := range all {
		methods = append(methods, m.method)
	}
	return methods
}

// telling are the fields that the table shows, besides what is usual.
var telling = []string{"x-forwarded-for", "x_forwarded_for", "forwarded", "x-real-ip", "upgrade", "proxy", "te", "content_length", "transfer_encoding", "expect", "http2-settings", "proxy-authorization", "cookie", "x"}

func (s seen) String() string {
	text := fmt.Sprintf("%s %s", s.method, short(s.target))
	if s.body != "" {
		text += fmt.Sprintf(" +%d", len(s.body))
	}
	for _, f := range s.fields {
		name, value, _ := strings.Cut(f, ":")
		value = strings.TrimSpace(value)
		name = strings.ToLower(name)
		if slices.Contains(telling, name) && (name != "x-forwarded-for" || value != "127.0.0.1") {
			if f := fmt.Sprintf(" [%s: %s]", name, short(value)); !strings.HasSuffix(text, f) { // 90 times the same is told once
				text += f
			}
		}
	}
	for _, f := range s.trailer {
		text += fmt.Sprintf(" [trailer %s]", short(f))
	}
	return text
}

func short(s string) string {
	if len(s) > 24 {
		return fmt.Sprintf("%s… (%d)", s[:20], len(s))
	}
	return s
}

func (o outcome) String() string {
	text := strings.Join(o.statuses, " ")
	if o.end != "" {
		text = strings.TrimSpace(text + " " + o.end)
	}
	if text == "" {
		text = "closed"
	}
	var got []string
	for _, s := range o.got {
		if s.whole { // whether the beginning of one that was refused had been sent already is a matter of luck
			got = append(got, s.String())
		}
	}
	if len(got) > 0 {
		text += " → " + strings.Join(got, ", ")
	}
	return text
}

// judged asserts that what reached the backend is what every reader understands.
func judged(t *testing.T, in input, o outcome) {
	t.Helper()
	raw := in.raw
	if !in.cut {
		raw += last
	}
	all, wrong := judge(raw)
	whole := slices.DeleteFunc(slices.Clone(o.got), func(s seen) bool { return !s.whole })
	for i, s := range whole {
		switch {
		case i >= len(all):
			t.Errorf("the backend got %s: %s is wrong in what was sent", s, wrong)
		case s.method != all[i].method || origin(s.target) != origin(all[i].target) || s.body != all[i].body:
			t.Errorf("the backend got %s, want %s %s with %d bytes", s, all[i].method, all[i].target, len(all[i].body))
		}
		for _, f := range s.trailer { // RFC 9110, 6.5.1
			name, _, _ := strings.Cut(strings.ToLower(f), ":")
			if slices.Contains([]string{"content-length", "transfer-encoding", "host", "x-forwarded-for", "connection", "cookie", "authorization"}, name) {
				t.Errorf("the backend got the trailer %q", f)
			}
		}
	}
	if wrong == "" {
		return
	}
	if len(o.statuses) > len(all)+1+count(o.statuses, "100") || o.end != "" && !in.cut {
		t.Errorf("%s: %s is wrong in what was sent, so that a refusal and the end are wanted", o, wrong)
	}
}

func count(all []string, s string) (n int) {
	for _, x := range all {
		if x == s {
			n++
		}
	}
	return n
}

// origin is the path and query of a target.
func origin(target string) string {
	if _, after, ok := strings.Cut(target, "://"); ok && !strings.HasPrefix(target, "/") {
		if i := strings.IndexAny(after, "/?"); i >= 0 {
			target = after[i:]
		} else {
			target = "/"
		}
	}
	if strings.HasPrefix(target, "?") {
		target = "/" + target
	}
	return target
}

// tandem runs a proxy in this process and returns where it listens.
func tandem(t *testing.T, b *backend) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	pools := pool.NewSet([]pool.Config{{Name: "web", Backends: []pool.BackendConfig{{Name: "a", Address: netip.MustParseAddrPort(b.addr)}}}})
	p, err := proxy.New(proxy.Config{Listeners: []proxy.ListenerConfig{{Name: "web", Bind: addr, Protocol: proxy.HTTP, Pool: "web"}}, Drain: time.Second},
		pools, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-p.Changed()
	return addr.String()
}

// column is a proxy, and the backend behind it alone.
type column struct {
	backend *backend
	addr    string
}

func start(t *testing.T, proxy func(*testing.T, *backend) string) column {
	b := startBackend(t)
	return column{b, proxy(t, b)}
}

func TestNothingAmbiguousIsPassedOn(t *testing.T) {
	columns := map[string]column{"Tandem": start(t, tandem)}
	if *peers {
		columns["HAProxy"], columns["nginx"] = start(t, haproxy), start(t, nginx)
	}
	old := readTable(t)
	fresh := table{}
	for _, in := range inputs() {
		t.Run(in.name, func(t *testing.T) {
			row := map[string]string{}
			for name, was := range old[in.name] {
				row[name] = was
			}
			for _, name := range []string{"Tandem", "HAProxy", "nginx"} {
				c, runs := columns[name]
				if !runs {
					continue
				}
				o := send(t, c.backend, c.addr, in)
				row[name] = cell(o.String())
				if name == "Tandem" {
					judged(t, in, o)
				}
				if was := old[in.name][name]; row[name] != was && !*update {
					t.Errorf("%s: %s, in the table: %s (read the difference, and rewrite it with -update)", name, row[name], was)
				}
			}
			fresh[in.name] = row
		})
	}
	if *update {
		writeTable(t, fresh)
	}
}

// table is what each proxy made of each input.
type table map[string]map[string]string

const tableFile = "table.md"

// cell is text that a table of Markdown can hold.
func cell(s string) string {
	var b strings.Builder
	for _, r := range []byte(s) {
		switch {
		case r == '|':
			b.WriteString("&#124;")
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, "\\x%02x", r)
		default:
			b.WriteByte(r)
		}
	}
	return strings.ToValidUTF8(b.String(), "?")
}

func readTable(t *testing.T) table {
	t.Helper()
	data, err := os.ReadFile(tableFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	all := table{}
	for l := range strings.Lines(string(data)) {
		c := strings.Split(strings.TrimSpace(l), " | ")
		if len(c) == 4 {
			all[strings.TrimPrefix(c[0], "| ")] = map[string]string{"Tandem": c[1], "HAProxy": c[2], "nginx": strings.TrimSuffix(c[3], " |")}
		}
	}
	return all
}

func writeTable(t *testing.T, all table) {
	t.Helper()
	var b strings.Builder
	b.WriteString(`# What became of the same bytes

Made by ` + "`make peers-differential`" + ` (see doc.go). Each input is followed by ` + "`GET /last`" + ` with ` + "`Connection: close`" + ` on the same connection. A cell has the
statuses that the client saw, and behind the arrow what the backend was asked: method, target, length of the body, and fields that tell
something. "silence": nothing more came for 1.5 s.

| input | Tandem | HAProxy | nginx |
|---|---|---|---|
`)
	for _, in := range inputs() {
		row := all[in.name]
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", in.name, row["Tandem"], row["HAProxy"], row["nginx"])
	}
	if err := os.WriteFile(tableFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
