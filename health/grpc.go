package health

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// grpcProbe asks a backend for its health by the standard service grpc.health.v1.Health, over HTTP/2 with prior knowledge, or by TLS.
// One stream on one connection needs no client with goroutines of its own: frames are written and read here.
type grpcProbe struct {
	addr netip.AddrPort
	cfg  Config
	tls  *handshaker // nil: in plain
}

const (
	grpcPath   = "/grpc.health.v1.Health/Check"
	grpcStream = 1
	// maxFrames and maxMessage bound what a backend may answer.
	maxFrames  = 64
	maxMessage = 4 << 10
)

func (g *grpcProbe) exchange(ctx context.Context, conn net.Conn) (result, io.Reader) {
	if g.tls != nil {
		c, r := g.tls.shake(ctx, conn)
		if c == nil {
			return r, nil
		}
		conn = c
	}
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&out, conn)
	f.SetMaxReadFrameSize(16 << 10)
	f.ReadMetaHeaders, f.MaxHeaderListSize = hpack.NewDecoder(4096, nil), 16<<10
	if err := g.ask(f); err != nil {
		return failure("request", g.cfg.Timeout, err), nil
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		return failure("request", g.cfg.Timeout, err), nil
	}
	a, err := readGRPC(f, func() error {
		_, err := conn.Write(out.Bytes())
		return err
	}, &out)
	if err != nil {
		return failure("answer", g.cfg.Timeout, err), nil
	}
	return g.judge(a), nil
}

// ask writes the request.
func (g *grpcProbe) ask(f *http2.Framer) error {
	var fields bytes.Buffer
	e := hpack.NewEncoder(&fields)
	scheme := "http"
	if g.tls != nil {
		scheme = "https"
	}
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", scheme}, {":path", grpcPath}, {":authority", cmp.Or(g.cfg.Host, g.addr.String())},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "tandem-health"},
		{"grpc-timeout", strconv.FormatInt(max(g.cfg.Timeout.Milliseconds(), 1), 10) + "m"},
	} {
		if err := e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return err
		}
	}
	return errors.Join(
		f.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}),
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: grpcStream, BlockFragment: fields.Bytes(), EndHeaders: true}),
		f.WriteData(grpcStream, true, healthRequest(g.cfg.Service)),
	)
}

// healthRequest is a HealthCheckRequest, whose only field is the service, as gRPC frames it.
func healthRequest(service string) []byte {
	var m []byte
	if service != "" {
		m = append(m, 1<<3|2)
		m = binary.AppendUvarint(m, uint64(len(service)))
		m = append(m, service...)
	}
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))) //nolint:gosec // the configuration bounds it
	return append(head, m...)
}

// grpcAnswer is what came back.
type grpcAnswer struct {
	http    string // :status
	status  string // grpc-status
	message string // grpc-message
	body    []byte
}

// readGRPC reads the answer. What the framer writes is in out; send sends it.
func readGRPC(f *http2.Framer, send func() error, out *bytes.Buffer) (a grpcAnswer, err error) {
	for range maxFrames {
		frame, err := f.ReadFrame()
		if err != nil {
			return a, err
		}
		out.Reset()
		switch fr := frame.(type) {
		case *http2.SettingsFrame:
			if !fr.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !fr.IsAck() {
				err = f.WritePing(true, fr.Data)
			}
		case *http2.MetaHeadersFrame:
			if fr.StreamID == grpcStream {
				a.take(fr)
			}
		case *http2.DataFrame:
			if fr.StreamID == grpcStream {
				a.body = append(a.body, fr.Data()...)
			}
		case *http2.RSTStreamFrame:
			err = fmt.Errorf("the backend reset the stream: %v", fr.ErrCode)
		case *http2.GoAwayFrame:
			if fr.LastStreamID < grpcStream || fr.ErrCode != http2.ErrCodeNo {
				err = fmt.Errorf("the backend ended the connection: %v", fr.ErrCode)
			}
		}
		switch {
		case err != nil:
			return a, err
		case frame.Header().StreamID == grpcStream && frame.Header().Flags.Has(http2.FlagDataEndStream):
			return a, nil
		case len(a.body) > maxMessage:
			return a, fmt.Errorf("answer larger than %d bytes", maxMessage)
		case out.Len() > 0:
			if err := send(); err != nil {
				return a, err
			}
		}
	}
	return a, fmt.Errorf("more than %d frames", maxFrames)
}

// take keeps what is needed of header or trailer.
func (a *grpcAnswer) take(fr *http2.MetaHeadersFrame) {
	for _, h := range fr.Fields {
		switch h.Name {
		case ":status":
			a.http = h.Value
		case "grpc-status":
			a.status = h.Value
		case "grpc-message":
			a.message = h.Value
		}
	}
}

func (g *grpcProbe) judge(a grpcAnswer) result {
	switch {
	case a.http != "200":
		return failed(fmt.Sprintf("HTTP status %s, want 200: is this a gRPC server?", a.http))
	case a.status == "12":
		return failed("grpc status 12: the backend does not implement grpc.health.v1.Health")
	case a.status == "5":
		return failed(fmt.Sprintf("grpc status 5: the backend does not know the service %q", g.cfg.Service))
	case a.status != "0":
		return failed(fmt.Sprintf("grpc status %s: %s", cmp.Or(a.status, "missing"), a.message))
	}
	status, err := servingStatus(a.body)
	if err != nil {
		return failed("answer: " + err.Error())
	}
	if status != 1 {
		return failed(fmt.Sprintf("health status %s, want SERVING", servingName(status)))
	}
	return passed("health status SERVING")
}

// servingStatus is the status field of a HealthCheckResponse, framed by gRPC.
func servingStatus(b []byte) (uint64, error) {
	if len(b) < 5 {
		return 0, errors.New("shorter than a gRPC message")
	}
	if b[0] != 0 {
		return 0, errors.New("compressed, though nobody asked for that")
	}
	if n := binary.BigEndian.Uint32(b[1:]); int64(n) != int64(len(b)-5) {
		return 0, errors.New("not one whole gRPC message")
	}
	status := uint64(0)
	for b = b[5:]; len(b) > 0; {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, errors.New("not a HealthCheckResponse")
		}
		b = b[n:]
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, errors.New("not a HealthCheckResponse")
		}
		b = b[n:]
		switch {
		case key == 1<<3:
			status = value
		case key&7 == 2 && value <= uint64(len(b)): // an unknown field of that length
			b = b[value:]
		case key&7 != 0:
			return 0, errors.New("not a HealthCheckResponse")
		}
	}
	return status, nil
}

func servingName(status uint64) string {
	names := []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}
	if status < uint64(len(names)) {
		return names[status]
	}
	return strconv.FormatUint(status, 10)
}
