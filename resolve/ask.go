package resolve

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// rounds is how often all servers are asked before a lookup has failed.
	rounds = 2
	// strays is how many datagrams that are no answer are read before a server is given up: they may be forged.
	strays = 16
)

// lookup asks for the addresses of a host: IPv4, or IPv6 if it has none.
func (r *Resolver) lookup(ctx context.Context, cfg *Config, host string) (answer, error) {
	servers, err := r.servers(cfg)
	if err != nil {
		return answer{}, err
	}
	a, err := all(ctx, cfg, servers, host, dnsmessage.TypeA)
	if errors.Is(err, errNoData) {
		a, err = all(ctx, cfg, servers, host, dnsmessage.TypeAAAA)
	}
	return a, err
}

// all asks one server after the other until one knows.
func all(ctx context.Context, cfg *Config, servers []netip.AddrPort, host string, t dnsmessage.Type) (answer, error) {
	var last error
	for range rounds {
		for _, s := range servers {
			a, err := ask(ctx, cfg, "udp", s, host, t)
			if err == nil && a.truncated {
				a, err = ask(ctx, cfg, "tcp", s, host, t)
			}
			if err == nil || errors.Is(err, errNotFound) || errors.Is(err, errNoData) || ctx.Err() != nil {
				return a, err
			}
			last = fmt.Errorf("name server %s: %w", s, err)
		}
	}
	return answer{}, last
}

// ask puts a question to a server and waits for the answer.
func ask(ctx context.Context, cfg *Config, network string, server netip.AddrPort, host string, t dnsmessage.Type) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	var random [2]byte
	rand.Read(random[:]) //nolint:errcheck // crypto/rand.Read never fails
	id := binary.BigEndian.Uint16(random[:])
	msg, err := question(id, host, t)
	if err != nil {
		return answer{}, err
	}
	c, err := cfg.Dial(ctx, network, server) // for each question a port of its own, which nobody can guess
	if err != nil {
		return answer{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		return overTCP(c, msg, id, host, t)
	}
	return overUDP(c, msg, id, host, t)
}

func overUDP(c net.Conn, msg []byte, id uint16, host string, t dnsmessage.Type) (answer, error) {
	if _, err := c.Write(msg); err != nil {
		return answer{}, silent(err)
	}
	buf := make([]byte, 4096)
	for range strays {
		n, err := c.Read(buf)
		if err != nil {
			return answer{}, silent(err)
		}
		if a, err := parse(buf[:n], id, host, t); !errors.Is(err, errStray) {
			return a, err
		}
	}
	return answer{}, fmt.Errorf("%d datagrams were no answer", strays)
}

func overTCP(c net.Conn, msg []byte, id uint16, host string, t dnsmessage.Type) (answer, error) {
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(msg))) //nolint:gosec // a question has less than 300 bytes
	if _, err := c.Write(append(framed, msg...)); err != nil {
		return answer{}, silent(err)
	}
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return answer{}, silent(err)
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, buf); err != nil {
		return answer{}, silent(err)
	}
	a, err := parse(buf, id, host, t)
	if err == nil && a.truncated {
		err = errors.New("the answer is cut short by TCP, too")
	}
	return a, err
}

// silent says a time limit in words.
func silent(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errors.New("no answer in time")
	}
	return err
}
