package main

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
)

// A client has so many datagrams on their way, of so many bytes.
const (
	window       = 16
	datagramSize = 64
	udpClients   = 16
)

func messagesOf(n int) []ipv4.Message {
	list := make([]ipv4.Message, n)
	for i := range list {
		list[i].Buffers = [][]byte{make([]byte, datagramSize)}
	}
	return list
}

// datagrams sends datagrams and counts the answers.
func datagrams(ctx context.Context, p peer, burst time.Duration) (float64, error) {
	until := time.Now().Add(burst)
	var answers atomic.Int64
	errs := make(chan error, udpClients)
	for range udpClients {
		go func() { errs <- exchange(ctx, p.udp, until, &answers) }()
	}
	var err error
	for range udpClients {
		err = errors.Join(err, <-errs)
	}
	return float64(answers.Load()), err
}

func exchange(ctx context.Context, port int, until time.Time, answers *atomic.Int64) error {
	u, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return err
	}
	defer u.Close()
	c, out, in := ipv4.NewPacketConn(u), messagesOf(window), messagesOf(window)
	for ctx.Err() == nil && time.Now().Before(until) {
		if _, err := c.WriteBatch(out, 0); err != nil {
			return err
		}
		_ = u.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // after a loss
		for n := 0; n < window; {
			k, err := c.ReadBatch(in[n:], 0)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return err
			}
			n += k
			answers.Add(int64(k))
		}
	}
	return nil
}

// echo sends every datagram back.
func echo(u *net.UDPConn) error {
	c, list := ipv4.NewPacketConn(u), messagesOf(64)
	for {
		n, err := c.ReadBatch(list, 0)
		for sent := 0; err == nil && sent < n; {
			var k int
			k, err = c.WriteBatch(list[sent:n], 0)
			sent += k
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
	}
}
