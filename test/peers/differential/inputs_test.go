package differential

import "strings"

// input is what a client sends on one connection. The harness puts last behind it.
type input struct {
	name string
	raw  string
	// cut says that a reader may rightly wait for more, so the client says that it sends no more.
	cut bool
}

// last is the request behind every input. Where it ends up, answered, swallowed or never read, is what smuggling is about.
const last = "GET /last HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n"

// get and post are requests with more fields.
func get(fields string) string { return "GET /a HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" }

func post(fields, body string) string {
	return "POST /a HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body
}

// chunks is a request with this body, which should be chunked.
func chunks(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }

// smuggled is what an attacker wants to be taken for a request of somebody else's.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

func inputs() []input {
	var all []input
	for _, group := range [][]input{plain(), lengths(), codings(), chunked(), lines(), targets(), hosts(), fields(), hops(), methods(), flows()} {
		all = append(all, group...)
	}
	return all
}

// plain requests are what all must pass on.
func plain() []input {
	return []input{
		{name: "GET", raw: get("")},
		{name: "POST with length", raw: post("Content-Length: 3\r\n", "abc")},
		{name: "POST chunked", raw: chunks("3\r\nabc\r\n0\r\n\r\n")},
		{name: "HTTP/1.0 keep-alive", raw: "GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"},
		{name: "HTTP/1.0 without Host", raw: "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	}
}

func lengths() []input {
	return []input{
		{name: "C3 length and coding", raw: post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled)},
		{name: "C3 coding and length", raw: post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n"+smuggled)},
		{name: "C3 two equal lengths", raw: post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc")},
		{name: "C3 two different lengths", raw: post("Content-Length: 0\r\nContent-Length: 37\r\n", smuggled)},
		{name: "length as a list", raw: post("Content-Length: 3, 3\r\n", "abc")},
		{name: "length with a plus", raw: post("Content-Length: +3\r\n", "abc")},
		{name: "length negative", raw: post("Content-Length: -1\r\n", "")},
		{name: "length hexadecimal", raw: post("Content-Length: 0x3\r\n", "abc")},
		{name: "length with underscore", raw: post("Content-Length: 1_0\r\n", "0123456789")},
		{name: "length empty", raw: post("Content-Length:\r\n", "")},
		{name: "length with leading zeros", raw: post("Content-Length: 0003\r\n", "abc")},
		{name: "length over 64 bits", raw: post("Content-Length: 18446744073709551619\r\n", "abc")},
		{name: "length with inner space", raw: post("Content-Length: 3 7\r\n", smuggled)},
		{name: "length behind a vertical tab", raw: post("Content-Length: \v3\r\n", "abc")},
		{name: "length longer than the body", raw: post("Content-Length: 1000\r\n", "abc"), cut: true},
		{name: "length of a GET", raw: "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\n" + smuggled},
		{name: "body of a GET without length", raw: get("") + "abc\r\n\r\n"},
	}
}

func codings() []input {
	coding := func(name, value string) input {
		return input{name: name, raw: post("Transfer-Encoding: "+value+"\r\n", "0\r\n\r\n")}
	}
	return []input{
		coding("coding Chunked", "Chunked"),
		coding("coding xchunked", "xchunked"),
		coding("coding chunked, chunked", "chunked, chunked"),
		coding("coding gzip, chunked", "gzip, chunked"),
		coding("coding chunked, identity", "chunked, identity"),
		coding("coding identity", "identity"),
		coding("coding quoted", `"chunked"`),
		coding("coding with parameter", "chunked;q=1"),
		coding("coding empty", ""),
		coding("coding behind a tab", "\tchunked"),
		coding("coding behind a vertical tab", "\vchunked"),
		coding("coding before a NUL", "chunked\x00"),
		{name: "two codings", raw: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n")},
		{name: "two codings, with length", raw: post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
		{name: "coding with a folded line", raw: post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")},
		{name: "coding with a space before the colon", raw: post("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
		{name: "coding with an underscore, and length", raw: post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
		{name: "coding behind a bare CR", raw: post("X: a\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
		{name: "coding behind a bare LF", raw: post("X: a\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
		{name: "C3 HTTP/1.0 with coding", raw: "POST /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{name: "coding of a GET", raw: get("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
	}
}

func chunked() []input {
	const end = "0\r\n\r\n"
	return []input{
		{name: "chunk with extension", raw: chunks("3;a=b\r\nabc\r\n" + end)},
		{name: "chunk with quoted extension", raw: chunks("3;a=\"\\\"b\"\r\nabc\r\n" + end)},
		{name: "chunk with an extension of 200 bytes", raw: chunks("3;" + strings.Repeat("a", 200) + "\r\nabc\r\n" + end)},
		{name: "chunk with an extension of 2,000 bytes", raw: chunks("3;" + strings.Repeat("a", 2000) + "\r\nabc\r\n" + end)},
		{name: "chunk with LF in its extension", raw: chunks("3;a\nxx\r\nabc\r\n" + end)},
		{name: "chunk with CR in its extension", raw: chunks("3;a\rxx\r\nabc\r\n" + end)},
		{name: "chunk size before a space", raw: chunks("3 \r\nabc\r\n" + end)},
		{name: "chunk size behind a space", raw: chunks(" 3\r\nabc\r\n" + end)},
		{name: "chunk size 0x3", raw: chunks("0x3\r\nabc\r\n" + end)},
		{name: "chunk size +3", raw: chunks("+3\r\nabc\r\n" + end)},
		{name: "chunk size -1", raw: chunks("-1\r\nabc\r\n" + end)},
		{name: "chunk size 3_0", raw: chunks("3_0\r\nabc\r\n" + end)},
		{name: "chunk size of 64 bits", raw: chunks("ffffffffffffffff\r\nabc\r\n" + end)},
		{name: "chunk size over 64 bits", raw: chunks("10000000000000003\r\nabc\r\n" + end)},
		{name: "chunk size with many zeros", raw: chunks(strings.Repeat("0", 300) + "3\r\nabc\r\n" + end)},
		{name: "chunk size empty", raw: chunks("\r\nabc\r\n" + end)},
		{name: "chunk size in capitals", raw: chunks("A\r\n0123456789\r\n" + end)},
		{name: "chunk lines with bare LF", raw: chunks("3\nabc\n0\n\n")},
		{name: "chunk longer than its size", raw: chunks("3\r\nabcde\r\n" + end)},
		{name: "chunk without CRLF at its end", raw: chunks("3\r\nabc" + end)},
		{name: "chunk with LF at its end", raw: chunks("3\r\nabc\n" + end)},
		{name: "last chunk 00", raw: chunks("3\r\nabc\r\n00\r\n\r\n")},
		{name: "trailer", raw: post("Transfer-Encoding: chunked\r\nTrailer: X\r\n", "3\r\nabc\r\n0\r\nX: y\r\n\r\n")},
		{name: "trailer Content-Length", raw: chunks("3\r\nabc\r\n0\r\nContent-Length: 37\r\n\r\n")},
		{name: "trailer Transfer-Encoding", raw: chunks("3\r\nabc\r\n0\r\nTransfer-Encoding: identity\r\n\r\n")},
		{name: "trailer Host", raw: chunks("3\r\nabc\r\n0\r\nHost: b\r\n\r\n")},
		{name: "trailer X-Forwarded-For", raw: chunks("3\r\nabc\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")},
		{name: "trailer folded", raw: chunks("3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n")},
		{name: "trailer without colon", raw: chunks("3\r\nabc\r\n0\r\nGET /smuggled HTTP/1.1\r\n\r\n")},
		{name: "trailer with bare LF", raw: chunks("3\r\nabc\r\n0\r\nX: y\n\r\n\r\n")},
		{name: "trailer of 20,000 bytes", raw: chunks("3\r\nabc\r\n0\r\nX: " + strings.Repeat("a", 20000) + "\r\n\r\n")},
		{name: "chunk cut short", raw: chunks("1000\r\nabc"), cut: true},
	}
}

func lines() []input {
	return []input{
		{name: "C3 folded line", raw: get("X: a\r\n b\r\n")},
		{name: "folded first line", raw: "GET /a HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n"},
		{name: "C3 bare LF everywhere", raw: "GET /a HTTP/1.1\nHost: a\n\n"},
		{name: "bare LF at the end of a field", raw: get("X: a\nY: b\r\n")},
		{name: "bare LF at the end of the header", raw: "GET /a HTTP/1.1\r\nHost: a\r\n\n"},
		{name: "bare CR in a value", raw: get("X: a\rb\r\n")},
		{name: "bare CR at the end of a field", raw: get("X: a\rY: b\r\n")},
		{name: "CR CR LF", raw: get("X: a\r\r\n")},
		{name: "C3 NUL in a value", raw: get("X: a\x00b\r\n")},
		{name: "NUL in a name", raw: get("X\x00: a\r\n")},
		{name: "DEL in a value", raw: get("X: a\x7fb\r\n")},
		{name: "escape in a value", raw: get("X: a\x1b[2Jb\r\n")},
		{name: "tab in a value", raw: get("X: a\tb\r\n")},
		{name: "bytes above 0x80 in a value", raw: get("X: \xe9\xff\x80\r\n")},
		{name: "bytes above 0x80 in a name", raw: get("X\xe9: a\r\n")},
		{name: "space before the colon", raw: get("X : a\r\n")},
		{name: "tab before the colon", raw: get("X\t: a\r\n")},
		{name: "space in a name", raw: get("X Y: a\r\n")},
		{name: "no colon", raw: get("X\r\n")},
		{name: "no name", raw: get(": a\r\n")},
		{name: "no value", raw: get("X:\r\n")},
		{name: "empty line first", raw: "\r\n" + get("")},
		{name: "three empty lines first", raw: "\r\n\r\n\r\n" + get("")},
		{name: "two spaces in the request line", raw: "GET  /a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "tab in the request line", raw: "GET\t/a\tHTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "space behind the version", raw: "GET /a HTTP/1.1 \r\nHost: a\r\n\r\n"},
		{name: "space before the method", raw: " GET /a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "HTTP/0.9", raw: "GET /a\r\n"},
		{name: "HTTP/0.9 with header", raw: "GET /a\r\nHost: a\r\n\r\n"},
		{name: "HTTP/1.2", raw: "GET /a HTTP/1.2\r\nHost: a\r\n\r\n"},
		{name: "HTTP/01.1", raw: "GET /a HTTP/01.1\r\nHost: a\r\n\r\n"},
		{name: "HTTP/2.0", raw: "GET /a HTTP/2.0\r\nHost: a\r\n\r\n"},
		{name: "http/1.1", raw: "GET /a http/1.1\r\nHost: a\r\n\r\n"},
		{name: "preface of HTTP/2", raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{name: "TLS", raw: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
	}
}

func targets() []input {
	target := func(name, t string) input { return input{name: name, raw: "GET " + t + " HTTP/1.1\r\nHost: a\r\n\r\n"} }
	return []input{
		target("C3 fragment", "/a#b"),
		target("C3 absolute, Host differs", "http://b/a"),
		target("absolute", "http://a/a"),
		target("absolute in capitals", "HTTP://A/a"),
		target("absolute without path", "http://a?b"),
		target("absolute with user", "http://u@a/a"),
		target("absolute of another scheme", "ftp://a/a"),
		target("dot segments", "/b/../a"),
		target("encoded dot segments", "/b/%2e%2e/a"),
		target("encoded slash", "/b%2fa"),
		target("encoded NUL", "/a%00"),
		target("encoded CRLF", "/a%0d%0aX:%20y"),
		target("broken encoding", "/a%zz"),
		target("empty segments", "//b//a"),
		target("backslash", `/\..\a`),
		target("bytes above 0x80", "/\xc3\xa9"),
		target("NUL", "/a\x00b"),
		target("without slash", "a"),
		target("asterisk of a GET", "*"),
		target("query only", "?a"),
		target("quotes and brackets", `/a"<>[]{}|^`),
		{name: "asterisk of OPTIONS", raw: "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
		target("of 7,000 bytes", "/"+strings.Repeat("a", 7000)),
		target("of 70,000 bytes", "/"+strings.Repeat("a", 70000)),
	}
}

func hosts() []input {
	host := func(name, h string) input { return input{name: name, raw: "GET /a HTTP/1.1\r\n" + h + "\r\n"} }
	return []input{
		host("no Host", ""),
		host("two Hosts", "Host: a\r\nHost: b\r\n"),
		host("two equal Hosts", "Host: a\r\nHost: a\r\n"),
		host("Host empty", "Host:\r\n"),
		host("Host with port", "Host: a:80\r\n"),
		host("Host with a bad port", "Host: a:b\r\n"),
		host("Host with two ports", "Host: a:80:81\r\n"),
		host("Host with a path", "Host: a/b\r\n"),
		host("Host with user", "Host: u@a\r\n"),
		host("Host as a list", "Host: a, b\r\n"),
		host("Host with a space", "Host: a b\r\n"),
		host("Host IPv6", "Host: [::1]:80\r\n"),
		host("Host folded", "Host:\r\n a\r\n"),
		host("Host with a space before the colon", "Host : a\r\n"),
	}
}

func fields() []input {
	return []input{
		{name: "C4 X_Forwarded_For", raw: get("X_Forwarded_For: 1.2.3.4\r\n")},
		{name: "Content_Length", raw: post("Content_Length: 37\r\n", "")},
		{name: "C5 X-Forwarded-For", raw: get("X-Forwarded-For: 1.2.3.4\r\n")},
		{name: "Forwarded", raw: get("Forwarded: for=1.2.3.4\r\n")},
		{name: "X-Real-IP", raw: get("X-Real-IP: 1.2.3.4\r\n")},
		{name: "field of 6,000 bytes", raw: get("X: " + strings.Repeat("a", 6000) + "\r\n")},
		{name: "field of 40,000 bytes", raw: get("X: " + strings.Repeat("a", 40000) + "\r\n")},
		{name: "90 fields", raw: get(strings.Repeat("X: a\r\n", 90))},
		{name: "1,000 fields", raw: get(strings.Repeat("X: a\r\n", 1000))},
		{name: "names of odd characters", raw: get("!#$%&'*+.^`|~: a\r\n")},
		{name: "name in brackets", raw: get("(X): a\r\n")},
		{name: "Proxy", raw: get("Proxy: http://evil\r\n")},
		{name: "Expect 100-continue with the body at once", raw: post("Expect: 100-continue\r\nContent-Length: 3\r\n", "abc")},
		{name: "Expect 100-Continue", raw: post("Expect: 100-Continue\r\nContent-Length: 3\r\n", "abc")},
		{name: "Expect of something else", raw: get("Expect: 200-ok\r\n")},
		{name: "Expect twice", raw: post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 3\r\n", "abc")},
		{name: "Expect in HTTP/1.0", raw: "POST /a HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"},
	}
}

func hops() []input {
	return []input{
		{name: "C4 Upgrade h2c", raw: get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n")},
		{name: "Upgrade of something else", raw: get("Connection: Upgrade\r\nUpgrade: foo/2\r\n")},
		{name: "Upgrade not nominated", raw: get("Upgrade: websocket\r\n")},
		{name: "Upgrade h2c, websocket", raw: get("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n")},
		{name: "Upgrade of a POST with body", raw: post("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n", "abc")},
		{name: "Upgrade refused by the backend", raw: get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n")},
		{name: "C6 Connection: X-Forwarded-For", raw: get("Connection: X-Forwarded-For\r\n")},
		{name: "Connection: X", raw: get("Connection: X\r\nX: a\r\n")},
		{name: "Connection: Content-Length", raw: post("Connection: Content-Length\r\nContent-Length: 37\r\n", smuggled)},
		{name: "Connection: Transfer-Encoding", raw: post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
		{name: "Connection: Host", raw: get("Connection: Host\r\n")},
		{name: "Connection: Cookie", raw: get("Connection: Cookie\r\nCookie: a=b\r\n")},
		{name: "Connection: close with a request behind it", raw: get("Connection: close\r\n") + smuggled},
		{name: "Connection malformed", raw: get("Connection: a b\r\n")},
		{name: "Keep-Alive and Proxy-Connection", raw: get("Keep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\n")},
		{name: "Proxy-Authorization", raw: get("Proxy-Authorization: Basic eA==\r\n")},
		{name: "TE trailers, gzip", raw: get("Connection: TE\r\nTE: trailers, gzip\r\n")},
	}
}

func methods() []input {
	method := func(name, m string) input { return input{name: name, raw: m + " /a HTTP/1.1\r\nHost: a\r\n\r\n"} }
	return []input{
		method("HEAD", "HEAD"),
		method("TRACE", "TRACE"),
		method("get", "get"),
		method("unknown method", "FOO-bar"),
		method("method with a bracket", "G(T"),
		method("method of 40 letters", strings.Repeat("A", 40)),
		{name: "HEAD with body", raw: "HEAD /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"},
		{name: "CONNECT", raw: "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"},
		{name: "CONNECT of a path", raw: "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "DELETE with body", raw: "DELETE /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"},
	}
}

func flows() []input {
	return []input{
		{name: "three requests at once", raw: get("") + post("Content-Length: 3\r\n", "abc") + chunks("3\r\nabc\r\n0\r\n\r\n")},
		{name: "204", raw: "GET /204 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "204 to a POST", raw: "POST /204 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"},
		{name: "304", raw: "GET /304 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "a good request before a bad one", raw: get("") + get("X : a\r\n")},
		{name: "nothing but CRLF", raw: "\r\n"},
		{name: "body of 100,000 bytes", raw: post("Content-Length: 100000\r\n", strings.Repeat("x", 100000))},
		{name: "30,000 chunks of one byte", raw: chunks(strings.Repeat("1\r\nx\r\n", 30000) + "0\r\n\r\n")},
		{name: "header cut short", raw: "GET /a HTTP/1.1\r\nHost: a\r\nX: ", cut: true},
	}
}
