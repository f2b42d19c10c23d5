package http2

import (
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"
)

// read takes frames until the connection ends. It returns what the client is to be told, if anything.
func (c *Conn) read() (code http2.ErrCode, tell bool) {
	_ = c.conn.SetReadDeadline(time.Now().Add(c.cfg.Patience))
	preface := make([]byte, len(Preface))
	if _, err := io.ReadFull(c.r, preface); err != nil {
		return 0, false
	}
	if string(preface) != Preface {
		return http2.ErrCodeProtocol, true
	}
	c.mu.Lock()
	_ = c.writer.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: c.cfg.MaxStreams},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.cfg.MaxHeader)},
	)
	_ = c.writer.WriteWindowUpdate(0, connWindow-firstWindow)
	c.wake.Signal()
	c.mu.Unlock()
	greeted := false
	for {
		f, err := c.framer.ReadFrame()
		if err == nil {
			if _, ok := f.(*http2.SettingsFrame); !ok && !greeted {
				return http2.ErrCodeProtocol, true
			}
			if !greeted {
				greeted = true
				c.rest()
			}
			err = c.take(f)
		}
		if err == nil {
			continue
		}
		if se, ok := errors.AsType[http2.StreamError](err); ok {
			// What makes us reset is as cheap for the client as a reset of its own.
			if !c.budget.spend(costOfReset) {
				c.abuse = "streams that had to be refused"
				return http2.ErrCodeEnhanceYourCalm, true
			}
			c.refuse(se.StreamID, se.Code)
			continue
		}
		if ce, ok := errors.AsType[http2.ConnectionError](err); ok {
			return http2.ErrCode(ce), true
		}
		switch {
		case errors.Is(err, http2.ErrFrameTooLarge):
			return http2.ErrCodeFrameSize, true
		case isTimeout(err):
			return http2.ErrCodeNo, true
		}
		return 0, false
	}
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// rest bounds how long a connection without streams waits for one.
func (c *Conn) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restIfIdle()
}

func (c *Conn) restIfIdle() {
	switch {
	case c.partial: // a header has its own time
	case c.closing || c.leaving == told && len(c.streams) == 0:
	case len(c.streams) > 0:
		_ = c.conn.SetReadDeadline(time.Time{})
	default:
		_ = c.conn.SetReadDeadline(time.Now().Add(c.cfg.Idle))
	}
}

// take acts on one frame. The error is an http2.StreamError or an http2.ConnectionError.
func (c *Conn) take(f http2.Frame) error {
	var after func()
	c.mu.Lock()
	for c.out.Len() > maxControl && !c.broken {
		c.drained.Wait() // who does not read our answers gets no more questions answered
	}
	err := errOver
	if !c.broken {
		if err = c.pay(f); err == nil {
			after, err = c.act(f)
		}
	}
	if c.out.Len() > 0 {
		c.wake.Signal()
	}
	c.mu.Unlock()
	if after != nil {
		after()
	}
	return err
}

// pay takes what a frame costs from the client's budget.
func (c *Conn) pay(f http2.Frame) error {
	cost, free, what := 0.0, false, ""
	switch f := f.(type) {
	case *http2.HeadersFrame:
	case *http2.ContinuationFrame:
		cost, what = costOfSignal, "headers in too many pieces"
	case *http2.DataFrame:
		if len(f.Data()) == 0 && !f.StreamEnded() {
			cost, what = costOfSignal, "empty data"
		}
	case *http2.RSTStreamFrame:
		cost, what = costOfReset, "resets"
	case *http2.WindowUpdateFrame:
		cost, free, what = costOfSignal, true, "window updates"
	case *http2.PingFrame:
		cost, free, what = costOfSignal, true, "pings"
	case *http2.SettingsFrame:
		cost, what = costOfSignal, "settings"
	default:
		cost, free, what = costOfSignal, true, "frames that mean nothing"
	}
	switch {
	case cost == 0:
	case free && c.earns > 0:
		c.earns--
	case !c.budget.spend(cost):
		c.abuse = what
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// act is take with mu held; after is to be called without.
func (c *Conn) act(f http2.Frame) (after func(), err error) {
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return nil, c.settings(f)
	case *http2.PingFrame:
		switch {
		case !f.IsAck():
			return nil, c.writer.WritePing(true, f.Data)
		case f.Data == farewell():
			c.tell()
		}
	case *http2.HeadersFrame:
		return c.headers(f)
	case *http2.ContinuationFrame:
		if len(c.header.encoded)+len(f.HeaderBlockFragment()) > 2*c.cfg.MaxHeader {
			c.abuse = "a header without end"
			return nil, http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
		}
		c.header.encoded = append(c.header.encoded, f.HeaderBlockFragment()...)
		if f.HeadersEnded() {
			return c.whole()
		}
	case *http2.DataFrame:
		return nil, c.data(f)
	case *http2.WindowUpdateFrame:
		return nil, c.window(id, int64(f.Increment))
	case *http2.RSTStreamFrame:
		if id > c.last {
			return nil, http2.ConnectionError(http2.ErrCodeProtocol)
		}
		if s := c.streams[id]; s != nil {
			return s.drop(), nil
		}
	case *http2.PriorityFrame:
		if f.StreamDep == id {
			return nil, http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
		}
	case *http2.PushPromiseFrame:
		return nil, http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil, nil
}

func (c *Conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if f.NumSettings() > 100 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID { //nolint:exhaustive // the others are about what we never do
		case http2.SettingHeaderTableSize:
			c.enc.SetMaxDynamicTableSize(min(s.Val, 4096))
		case http2.SettingMaxFrameSize:
			c.frame = int(min(s.Val, maxFrame))
		case http2.SettingInitialWindowSize:
			grown := int64(s.Val) - c.first
			c.first = int64(s.Val)
			for _, s := range c.streams {
				if s.send += grown; s.send > maxWindow {
					return http2.ConnectionError(http2.ErrCodeFlowControl)
				}
			}
			c.wakeAll()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.writer.WriteSettingsAck()
}

func (c *Conn) window(id uint32, more int64) error {
	if id == 0 {
		if c.send += more; c.send > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		if c.blocked > 0 {
			c.wakeAll()
		}
		return nil
	}
	s := c.streams[id]
	if s == nil {
		if id > c.last {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		return nil
	}
	if s.send += more; s.send > maxWindow {
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeFlowControl}
	}
	s.changed.Broadcast()
	return nil
}

func (c *Conn) data(f *http2.DataFrame) error {
	id, size := f.StreamID, int64(f.Length)
	if id > c.last {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if c.receive -= size; c.receive < 0 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	s := c.streams[id]
	if s == nil {
		c.giveBack(size)
		if c.isRecent(id) {
			return nil // it was sent before our reset had come
		}
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeStreamClosed}
	}
	if s.eof {
		c.giveBack(size)
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeStreamClosed}
	}
	if s.receive -= size; s.receive < 0 {
		c.giveBack(size)
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeFlowControl}
	}
	padding := size - int64(len(f.Data()))
	s.giveBack(padding)
	return s.body(f.Data(), f.StreamEnded())
}

// headers begins to take a header. The rest of it must come soon.
func (c *Conn) headers(f *http2.HeadersFrame) (after func(), err error) {
	if f.StreamID%2 == 0 {
		return nil, http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.header.begin(f, c.streams[f.StreamID] != nil, c.cfg.MaxHeader)
	if f.HeadersEnded() {
		return c.whole()
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(c.cfg.Patience))
	c.partial = true
	return nil, nil
}

// whole begins the stream whose header is here, or ends one with trailers.
func (c *Conn) whole() (after func(), err error) {
	if c.partial {
		c.partial = false
		c.restIfIdle()
	}
	h := &c.header
	if _, err := c.dec.Write(h.encoded); err != nil || c.dec.Close() != nil {
		return nil, http2.ConnectionError(http2.ErrCodeCompression)
	}
	id := h.id
	if s := c.streams[id]; s != nil {
		if s.eof {
			return nil, http2.StreamError{StreamID: id, Code: http2.ErrCodeStreamClosed}
		}
		return nil, s.trailers(h)
	}
	if id <= c.last {
		if c.isRecent(id) {
			return nil, nil
		}
		return nil, http2.ConnectionError(http2.ErrCodeStreamClosed)
	}
	if c.leaving == told {
		return nil, nil // the client was told that it does not count
	}
	c.last = id
	if c.serving >= c.cfg.MaxStreams {
		return nil, http2.StreamError{StreamID: id, Code: http2.ErrCodeRefusedStream}
	}
	s := &Stream{conn: c, id: id, send: c.first, receive: streamWindow, length: -1}
	if !s.request(h) {
		return nil, http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
	}
	if c.cfg.Ending() {
		c.ask()
	}
	return c.begin(s), nil
}

func (c *Conn) isRecent(id uint32) bool {
	for _, r := range c.recent {
		if r == id {
			return true
		}
	}
	return false
}

// refuse resets a stream by fault of the client.
func (c *Conn) refuse(id uint32, code http2.ErrCode) {
	c.mu.Lock()
	cut := func() {}
	if s := c.streams[id]; s != nil {
		cut = s.drop()
	}
	c.reset(id, code)
	if id > c.last && id%2 == 1 {
		c.last = id
	}
	c.mu.Unlock()
	cut()
}

// reset tells the client that a stream is over, and remembers it: more of it may be on the way.
func (c *Conn) reset(id uint32, code http2.ErrCode) {
	_ = c.writer.WriteRSTStream(id, code)
	c.recent[c.resets%maxRecent] = id
	c.resets++
	c.wake.Signal()
}

// giveBack returns n bytes of the connection's window to the client, many at a time.
func (c *Conn) giveBack(n int64) {
	if c.credit += n; c.credit >= connWindow/4 {
		c.receive += c.credit
		_ = c.writer.WriteWindowUpdate(0, uint32(c.credit))
		c.credit = 0
		c.wake.Signal()
	}
}
