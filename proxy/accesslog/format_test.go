package accesslog

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func request() *Record {
	return &Record{
		Time: time.Date(2026, 11, 25, 2, 20, 20, 123456789, time.UTC), Peer: netip.MustParseAddrPort("10.0.0.5:51234"), Client: netip.MustParseAddr("198.51.100.7"),
		Listener: "web", Route: "api", Pool: "app", Backend: "app1", TLS: "TLSv1.3 TLS_AES_128_GCM_SHA256",
		Method: "GET", Target: "/a?b", Protocol: "HTTP/1.1", Host: "example.org", ID: "0af7", Trace: "00-0af7-b7ad-01", Status: 200,
		Receive: 0, Queue: 1500 * time.Microsecond, Connect: 2 * time.Millisecond, FirstByte: 30 * time.Millisecond, Total: 34 * time.Millisecond,
		Sent: 1234, Received: 12, Retries: 1, End: "--", Active: 12, Here: 5,
	}
}

func TestLinesOfRequestsAndSessions(t *testing.T) {
	refused := &Record{Time: request().Time, Peer: netip.MustParseAddrPort("[2001:db8::5]:51234"), Client: netip.MustParseAddr("2001:db8::5"), Listener: "web",
		Protocol: "HTTP/1.1", Status: 400, Queue: -1, Connect: -1, FirstByte: -1, End: "PR", Reason: `header "field" value`}
	session := &Record{Time: request().Time, Peer: request().Peer, Listener: "sql", Pool: "sql", Backend: "sql1", Connect: time.Millisecond,
		Total: time.Minute, Sent: 7, Received: 8, End: "CD", Reason: "client broke off", Sample: 100}
	for _, c := range []struct {
		name       string
		r          *Record
		text, json string
	}{
		{"request", request(),
			`10.0.0.5:51234 [25/Nov/2026:02:20:20.123] web app/app1 0/1/2/30/34 200 1234 - - ---- 12/5/-/-/1 -/- "GET /a?b HTTP/1.1" host="example.org" ` +
				`client=198.51.100.7 id="0af7" route="api" tls="TLSv1.3 TLS_AES_128_GCM_SHA256" trace="00-0af7-b7ad-01" in=12`,
			`{"time":"2026-11-25T02:20:20.123456Z","client":"198.51.100.7","peer":"10.0.0.5:51234","listener":"web","route":"api","pool":"app","backend":"app1",` +
				`"tls":"TLSv1.3 TLS_AES_128_GCM_SHA256","protocol":"HTTP/1.1","method":"GET","target":"/a?b","host":"example.org","id":"0af7","traceparent":"00-0af7-b7ad-01",` +
				`"status":200,"receive_ms":0.000,"queue_ms":1.500,"connect_ms":2.000,"first_byte_ms":30.000,"total_ms":34.000,"sent":1234,"received":12,"retries":1,"end":"--",` +
				`"active":12,"active_here":5}`},
		{"refused", refused,
			`2001:db8::5:51234 [25/Nov/2026:02:20:20.123] web -/- 0/-1/-1/-1/0 400 0 - - PR-- 0/0/-/-/0 -/- "<BADREQ>" in=0 reason="header \x22field\x22 value"`,
			`{"time":"2026-11-25T02:20:20.123456Z","client":"2001:db8::5","peer":"[2001:db8::5]:51234","listener":"web","protocol":"HTTP/1.1","status":400,"receive_ms":0.000,` +
				`"total_ms":0.000,"sent":0,"received":0,"retries":0,"end":"PR","reason":"header \"field\" value","active":0,"active_here":0}`},
		{"session", session,
			`10.0.0.5:51234 [25/Nov/2026:02:20:20.123] sql sql/sql1 0/1/60000 7 CD 0/0/-/-/0 -/- in=8 sample=100 reason="client broke off"`,
			`{"time":"2026-11-25T02:20:20.123456Z","client":"10.0.0.5","peer":"10.0.0.5:51234","listener":"sql","pool":"sql","backend":"sql1","queue_ms":0.000,"connect_ms":1.000,` +
				`"total_ms":60000.000,"sent":7,"received":8,"retries":0,"end":"CD","reason":"client broke off","sample":100,"active":0,"active_here":0}`},
	} {
		if got := string(Text.Append(nil, c.r)); got != c.text+"\n" {
			t.Errorf("%s:\n%swant\n%s", c.name, got, c.text)
		}
		if got := string(JSON.Append(nil, c.r)); got != c.json+"\n" {
			t.Errorf("%s:\n%swant\n%s", c.name, got, c.json)
		}
	}
}

// quoted matches what stands in quotes in a line of text.
var quoted = regexp.MustCompile(`"([^"]*)"`)

// unescape undoes appendEscaped.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if len(s) < i+4 || s[i+1] != 'x' {
			return "", fmt.Errorf("a stray backslash in %q", s)
		}
		n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
		if err != nil {
			return "", err
		}
		b.WriteByte(byte(n))
		i += 3
	}
	return b.String(), nil
}

// FuzzLines: whatever a client sends, a record is one line of harmless characters, in which it cannot forge another field, and from which what it has
// sent can be read back.
func FuzzLines(f *testing.F) {
	f.Add("GET", "/a?b", "example.org", "00-1-2-03", "client went away")
	f.Add("GET", "/\" 200 0 - - ---- \"", "a\nb", "\x1b[2J", "\\x22")
	f.Add("\xff", "\xc2\x85\u2028\u2029", "\x00\x7f", "\r\n10.0.0.1:1 [", `","status":200,"`)
	f.Fuzz(func(t *testing.T, method, target, host, trace, reason string) {
		r := request()
		r.Method, r.Target, r.Host, r.Trace, r.Reason, r.TLS, r.Route, r.ID = method, target, host, trace, reason, "", "", ""
		line := string(Text.Append(nil, r))
		for i := range len(line) - 1 {
			if c := line[i]; c < ' ' || c >= 0x7f {
				t.Fatalf("%q has the byte %#x", line, c)
			}
		}
		var want, got []string
		if method != "" {
			want = append(want, method+" "+target+" HTTP/1.1")
		} else {
			want = append(want, "<BADREQ>")
		}
		for _, s := range []string{host, trace, reason} {
			if s != "" {
				want = append(want, s)
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(line, -1) {
			s, err := unescape(m[1])
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s)
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q: read back %q, want %q", line, got, want)
		}

		line = string(JSON.Append(nil, r))
		if strings.Count(line, "\n") != 1 || !utf8.ValidString(line) || strings.ContainsAny(line[:len(line)-1], "\x00\x1b\x7f\u0085\u009b\u2028\u2029") {
			t.Fatalf("%q is not one harmless line", line)
		}
		var o struct {
			Method, Target, Host, Reason string
			Trace                        string `json:"traceparent"`
			Status                       int
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, p := range [][2]string{{o.Method, method}, {o.Target, target}, {o.Host, host}, {o.Trace, trace}, {o.Reason, reason}} {
			if want := strings.ToValidUTF8(string([]rune(p[1])), "\ufffd"); p[0] != want {
				t.Fatalf("%q: read back %q, want %q", line, p[0], want)
			}
		}
		if o.Status != 200 {
			t.Fatalf("%q: the status is %d", line, o.Status)
		}
	})
}

func TestFormattingDoesNotAllocate(t *testing.T) {
	r, buf := request(), make([]byte, 0, 4096)
	for _, f := range []Format{Text, JSON} {
		if n := testing.AllocsPerRun(100, func() { buf = f.Append(buf[:0], r) }); n > 0 {
			t.Errorf("%s: %v allocations", f, n)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	for _, f := range []Format{Text, JSON} {
		b.Run(string(f), func(b *testing.B) {
			r, buf := request(), make([]byte, 0, 4096)
			for b.Loop() {
				buf = f.Append(buf[:0], r)
			}
		})
	}
}
