package http1

// Response is the header of a response. Its slices point into the bytes that Parse was given.
type Response struct {
	Header
	Status  int
	Reason  []byte
	Minor   int   // of the version, 0 or 1
	Length  int64 // of the body as the header says; -1: not given
	Chunked bool
	Keep    bool // the backend would take another request on this connection
	Upgrade bool // the backend switches to websocket (status 101)
}

// Interim reports whether another response follows this one.
func (r *Response) Interim() bool { return r.Status < 200 && r.Status != 101 }

// NoBody reports whether no body follows, whatever the header says, when head tells a HEAD request.
func (r *Response) NoBody(head bool) bool {
	return head || r.Status < 200 || r.Status == 204 || r.Status == 304
}

// Parse reads b, a whole header as HeaderEnd found it. The error is an *Error.
func (r *Response) Parse(b []byte) error {
	l, n := line(b)
	if err := r.statusLine(l); err != nil {
		return err
	}
	if err := r.parse(b, n); err != nil {
		return err
	}
	var err error
	if r.Length, r.Chunked, err = r.framing(r.Minor, true); err != nil {
		return err
	}
	r.Keep = !r.close && (r.Minor > 0 || r.keepAlive)
	r.Upgrade = false
	if r.Status != 101 {
		return nil
	}
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Kind == Upgrade {
			r.Upgrade = r.upgrade && fold(r.Value(f), "websocket")
		}
	}
	return nil
}

func (r *Response) statusLine(l []byte) error {
	const prefix = "HTTP/1.x "
	if len(l) < len(prefix)+3 || string(l[:7]) != prefix[:7] || l[7] > '1' || l[7] < '0' || l[8] != ' ' {
		return ErrStatusLine
	}
	status, ok := number(l[9:12])
	if !ok || status < 100 {
		return ErrStatusLine
	}
	reason := l[12:]
	if len(reason) > 0 {
		// Many servers leave out the space together with the reason.
		if reason[0] != ' ' || !plain(reason) {
			return ErrStatusLine
		}
		reason = reason[1:]
	}
	r.Minor, r.Status, r.Reason = int(l[7]-'0'), int(status), reason
	return nil
}
