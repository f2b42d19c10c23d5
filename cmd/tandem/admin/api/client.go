package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// StatusPath is where the daemon tells its Status.
const StatusPath = "/v1/status"

const (
	// patience bounds a question to the daemon whose context has no deadline. It answers from memory: one that
	// takes longer hangs, and whoever asks wants to know.
	patience = 5 * time.Second
	// maxAnswer bounds an answer: 10,000 backends fit.
	maxAnswer = 8 << 20
)

// ErrNotRunning is in the chain of an error when nobody listens on the socket.
var ErrNotRunning = errors.New("tandem is not running")

// Client asks a daemon over its Unix socket. It may be used concurrently and needs no closing: every question has a
// connection of its own.
type Client struct {
	socket string
	http   *http.Client
}

// Dial returns a client of the daemon that listens at the path socket. It does not connect yet.
func Dial(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{
		socket: socket,
		http:   &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, Proxy: nil}},
	}
}

// Status asks for the daemon's status. It waits at most until ctx ends, or 5 s if ctx has no deadline.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	if err := c.get(ctx, StatusPath, &s); err != nil {
		return Status{}, err
	}
	if s.Schema != Schema {
		return Status{}, fmt.Errorf("the daemon at %s speaks version %d of the status, this command %d: use the command that came with the daemon",
			c.socket, s.Schema, Schema)
	}
	return s, nil
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://tandem"+path, nil)
	if err != nil {
		return err
	}
	status, body, err := c.do(req)
	if err != nil {
		return err
	}
	return c.read(status, body, into)
}

// do sends a request and returns the answer, whatever its status.
func (c *Client) do(req *http.Request) (status int, body []byte, err error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, c.explain(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, c.explain(err)
	case len(body) > maxAnswer:
		return 0, nil, fmt.Errorf("the answer from %s is larger than %d MiB: is that a tandem?", c.socket, maxAnswer>>20)
	}
	return resp.StatusCode, body, nil
}

// read takes an answer apart.
func (c *Client) read(status int, body []byte, into any) error {
	if status != http.StatusOK {
		var p Problem
		if json.Unmarshal(body, &p) != nil || p.Error == "" {
			p.Error = fmt.Sprintf("%d %s", status, http.StatusText(status))
		}
		return fmt.Errorf("the daemon at %s refused: %s", c.socket, clean(p.Error))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer from %s is not what a tandem says: %w", c.socket, err)
	}
	return nil
}

// explain turns what the system says into what is wrong and what to do next.
func (c *Client) explain(err error) error {
	// What surrounds the cause, a method and an address that nobody typed, helps nobody.
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no socket at %s; start it (systemctl start tandem), or name its socket with --socket or $TANDEM_SOCKET",
			ErrNotRunning, c.socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: %s is left over from one that ended without cleaning up; start it (systemctl start tandem), and read its log (journalctl -u tandem)",
			ErrNotRunning, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s", fs.ErrPermission, whoMay(c.socket))
	case errors.Is(err, syscall.ENOTSOCK) || errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("%s is not the socket of a tandem: name the right one with --socket or $TANDEM_SOCKET", c.socket)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("%s cannot be a socket: its path has %d bytes, at most 107 are allowed", c.socket, len(c.socket))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the daemon at %s accepts connections and does not answer: it hangs; read its log (journalctl -u tandem): %w", c.socket, err)
	}
	return fmt.Errorf("ask the daemon at %s: %w", c.socket, err)
}
