package mux

import (
	"errors"
	"time"

	"golang.org/x/net/http2"
)

// read takes frames until the connection ends.
func (c *Conn) read() {
	for {
		f, err := c.framer.ReadFrame()
		c.mu.Lock()
		if err == nil {
			c.heard, c.pinged = time.Now(), time.Time{}
			err = c.handle(f)
		}
		if se, ok := errors.AsType[http2.StreamError](err); ok {
			err = c.broken(se)
		}
		if err != nil {
			c.quit(err)
		}
		over := c.err != nil
		c.mu.Unlock()
		if over {
			return
		}
	}
}

// quit ends the connection; a backend that breaks the rules is told so, if it listens.
func (c *Conn) quit(err error) {
	code := http2.ErrCodeNo
	if ce, ok := errors.AsType[http2.ConnectionError](err); ok {
		code = http2.ErrCode(ce)
	} else if errors.Is(err, http2.ErrFrameTooLarge) {
		code = http2.ErrCodeFrameSize
	}
	if code != http2.ErrCodeNo && c.err == nil && !c.writing {
		_ = c.writer.WriteGoAway(0, code, nil)
		_ = c.conn.SetWriteDeadline(time.Now().Add(lastWord))
		c.writing = true
		c.writeOnce()
		c.writing = false
	}
	c.end(err)
}

// lastWord is how long telling a backend why the connection ends may take.
const lastWord = 100 * time.Millisecond

// broken ends a stream on which the backend has broken the rules.
func (c *Conn) broken(e http2.StreamError) error {
	if s := c.streams[e.StreamID]; s != nil {
		s.fail(ErrMalformed)
	} else if err := c.known(e.StreamID); err != nil {
		return err
	}
	_ = c.writer.WriteRSTStream(e.StreamID, e.Code)
	return c.controlled(13)
}

// handle acts on one frame. The error is an http2.StreamError or an http2.ConnectionError.
func (c *Conn) handle(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		c.pings = 0
		return c.headers(f)
	case *http2.DataFrame:
		c.pings = 0
		return c.data(f)
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if err := c.settings(f); err != nil {
			return err
		}
		return c.controlled(9)
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		_ = c.writer.WritePing(true, f.Data)
		return c.controlled(17)
	case *http2.WindowUpdateFrame:
		return c.widen(f.StreamID, int64(f.Increment))
	case *http2.RSTStreamFrame:
		return c.wasReset(f)
	case *http2.GoAwayFrame:
		c.goAway(f)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil // unknown frames, and priorities, mean nothing (RFC 9113, 5.5)
}

// controlled sends what the backend has made us say, unless it does not listen.
func (c *Conn) controlled(size int) error {
	if c.control += size; c.control > maxControl {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	c.writeSoon()
	return nil
}

// settings takes over what the backend asks for, and says so.
func (c *Conn) settings(f *http2.SettingsFrame) error {
	if f.NumSettings() > 100 {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID { //nolint:exhaustive // the others are about what we never do
		case http2.SettingHeaderTableSize:
			c.enc.SetMaxDynamicTableSizeLimit(min(s.Val, 4096))
		case http2.SettingMaxConcurrentStreams:
			c.most = s.Val
		case http2.SettingMaxFrameSize:
			c.frame = int(min(s.Val, frameSize))
		case http2.SettingInitialWindowSize:
			grown := int64(s.Val) - c.first
			c.first = int64(s.Val)
			for _, s := range c.streams {
				if s.send += grown; s.send > maxWindow {
					return http2.ConnectionError(http2.ErrCodeFlowControl)
				}
			}
			c.resume()
		}
		return nil
	})
	if err == nil {
		err = c.writer.WriteSettingsAck()
	}
	return err
}

// widen gives us more of a window.
func (c *Conn) widen(id uint32, more int64) error {
	if id == 0 {
		if c.send += more; c.send > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		c.resume()
		c.writeSoon()
		return nil
	}
	s := c.streams[id]
	if s == nil {
		return c.known(id)
	}
	if s.send += more; s.send > maxWindow {
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeFlowControl}
	}
	s.sendUnsent()
	c.writeSoon()
	return nil
}

// known refuses what is about a stream that there never was.
func (c *Conn) known(id uint32) error {
	if id%2 == 0 || id >= c.next {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

func (c *Conn) wasReset(f *http2.RSTStreamFrame) error {
	s := c.streams[f.StreamID]
	if s == nil {
		return c.known(f.StreamID)
	}
	s.fail(&ResetError{f.ErrCode})
	return nil
}

// goAway has new requests go elsewhere, and those that the backend has not looked at, too.
func (c *Conn) goAway(f *http2.GoAwayFrame) {
	c.leaving = true
	for id, s := range c.streams {
		if id > f.LastStreamID {
			s.fail(errLeaving)
		}
	}
	c.endIfLeft()
}
