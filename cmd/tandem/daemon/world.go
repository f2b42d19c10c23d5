package daemon

import (
	"context"
	"net"
	"net/netip"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"

	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/pulse/mirror"
	"github.com/tandem-lb/tandem/command"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/systemd"
	"github.com/tandem-lb/tandem/vip"
)

// World is what a daemon has of its host: the kernel, the network, the service manager. The zero value is this host; what is not zero replaces it, as test/sim
// does, where whole daemons run in memory under fake time. A new part that touches the host (opens a socket, runs a command, sends a frame, or waits for anything but a channel
// or a timer) gets what it touches from here; files in cfg.StateDir and cfg.RunDir are real everywhere.
type World struct {
	// VIP opens the kernel of the VIPs, and of whatever else speaks frames on the links.
	VIP func(vip.Config, hclog.Logger) (vip.System, error)
	// Gossip carries memberlist's packets and streams, and Beats the datagrams of the pulse.
	Gossip memberlist.NodeAwareTransport
	Beats  pulse.Transport
	// Mirror opens a link for the frames that bounce beats off third parties.
	Mirror func(index int, six bool, each func(frame []byte)) (mirror.Port, error)
	// ListenPeers and DialPeer make the streams between nodes.
	ListenPeers func(ctx context.Context) (net.Listener, error)
	DialPeer    func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Listen opens a listener for clients; Dial connects to a backend, for forwarding and for probes, or to a listener of this node.
	Listen func(ctx context.Context, bind netip.AddrPort) (net.Listener, error)
	Dial   func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// DialName connects to a name server, by "udp" or "tcp".
	DialName func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
	// Admin is where the API is served, instead of cfg.Admin.Socket.
	Admin net.Listener
	// Read is how a reload reads the configuration, as configs.LoadNext does; nil: there is none. Again asks for one.
	Read  func(running *configs.Config) (*configs.Config, []configs.Warning, error)
	Again <-chan os.Signal
	// Warned are the warnings of the configuration at the start: a reload tells only others.
	Warned []configs.Warning
	// Command runs an operator's command; nil: command.Run.
	Command func(ctx context.Context, c command.Command) (output string, err error)
	// Feed is called at every turn of the election's loop, instead of the watchdog.
	Feed func()
}

func (w World) openVIP(c vip.Config, log hclog.Logger) (vip.System, error) {
	if w.VIP != nil {
		return w.VIP(c, log)
	}
	return vip.Open(c, log)
}

func (w World) feeder(log hclog.Logger) func() {
	if w.Feed != nil {
		return w.Feed
	}
	return systemd.NewFeeder(log).Feed
}
