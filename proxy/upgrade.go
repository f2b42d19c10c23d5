package proxy

// upgrade passes a switch to websocket on; then both connections carry bytes until one ends. What either side has sent
// ahead is in the buffers of the streams, which move into the tunnel.
func (c *client) upgrade(w *work, conn *backendConn) verdict {
	w.out = appendStatus(w.out[:0], &w.resp)
	w.out = w.resp.AppendFields(w.out, passedBack)
	w.out = appendCookie(w.out, w, conn.upstream.backend)
	w.out = append(w.out, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"...)
	if _, err := c.in.Write(w.out); err != nil {
		return cancelled
	}
	t := newTunnel(c.listener, c.in.Conn, c.peer)
	t.idle = w.way.limits.tunnel
	t.client.take(&c.in)
	t.backend.take(&conn.stream)
	c.tunnel.Store(t)
	if c.over.Load() {
		t.cut()
	}
	t.carry(conn.Conn, conn.upstream.backend)
	w.acc.sent += uint64(len(w.out)) + t.down.moved.Load()
	w.body.moved.Store(t.up.moved.Load())
	c.log(w, 101, t.why(), conn)
	return over
}

// take moves what is pending in o here.
func (s *stream) take(o *stream) {
	if s.Conn == nil {
		s.init(o.Conn, o.buffers)
	}
	s.buf, s.r, s.w = o.buf, o.r, o.w
	o.buf, o.r, o.w = nil, 0, 0
}
