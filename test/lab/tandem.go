package lab

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tandem launches `tandem run` on a node, with the configuration of Node.Config.
func Tandem(n *Node) ([]*Proc, error) {
	binary := n.Pair.Config.Binary
	if binary == "" {
		binary = "bin/tandem"
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("the binary under test: %w; build it with `make build`", err)
	}
	if err := n.WriteConfig(); err != nil {
		return nil, err
	}
	p, err := n.Start(n.Name(), exec.Command(binary, "run", "--config", n.ConfigPath())) //nolint:noctx // ends with the lab
	if err != nil {
		return nil, err
	}
	return []*Proc{p}, nil
}

// ConfigPath is where the node's configuration is.
func (n *Node) ConfigPath() string { return n.path("tandem.yaml") }

// Socket is the node's admin socket.
func (n *Node) Socket() string { return n.path("run", "tandem.sock") }

// RunDir is the node's run_dir.
func (n *Node) RunDir() string { return n.path("run") }

// LogPath is the node's log, of all its starts.
func (n *Node) LogPath() string { return n.lab.Path(n.name + ".log") }

func (n *Node) path(elem ...string) string {
	return n.lab.Path(append([]string{n.name}, elem...)...)
}

// WriteConfig writes the node's configuration, its key and its directories. Tandem does it before each start.
func (n *Node) WriteConfig() error {
	for _, dir := range []string{n.RunDir(), n.path("state")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := writeKey(n.lab.Path("cluster.key")); err != nil {
		return fmt.Errorf("write the cluster's key: %w", err)
	}
	config := n.Config()
	if n.Pair.Config.Edit != nil {
		config = n.Pair.Config.Edit(n, config)
	}
	return os.WriteFile(n.ConfigPath(), []byte(config), 0o644)
}

// writeKey makes a key of 32 random bytes unless there is one.
func writeKey(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(key[:]))
	return errors.Join(err, f.Close())
}

// Config is the node's configuration file: the defaults wherever there are some, the first node preferred, an http and a tcp listener on
// each VIP. PairConfig.Edit may change the text.
func (n *Node) Config() string {
	p := n.Pair
	vips := []netip.Addr{p.VIP}
	if p.VIP6.IsValid() {
		vips = append(vips, p.VIP6)
	}
	var addresses []string
	var listeners strings.Builder
	for i, a := range vips {
		addresses = append(addresses, netip.PrefixFrom(a, a.BitLen()).String())
		for _, l := range []struct {
			name string
			port uint16
		}{{"http", PortHTTP}, {"tcp", PortTCP}} {
			fmt.Fprintf(&listeners, "  - {name: %s%d, bind: %q, protocol: %s, pool: web}\n", l.name, i+1, netip.AddrPortFrom(a, l.port), l.name)
		}
	}
	return fmt.Sprintf(configText, n.Name(), n.path("state"), n.RunDir(), cmp.Or(p.Config.LogLevel, "info"), netip.AddrPortFrom(n.Addr(), 7946),
		netip.AddrPortFrom(p.Other(n).Addr(), 7946), p.Path("cluster.key"), 100-10*n.Index, n.Link(),
		strings.Join(addresses, ", "), p.Gateway.Addr(), listeners.String(), p.Backends[0].Addr(), p.Backends[1].Addr(), n.Socket())
}

const configText = `node: %s
state_dir: %s
run_dir: %s
log: {level: %s, format: text}
cluster:
  bind: %s
  peers: ["%s"]
  key_file: %s
  priority: %d
vip:
  interface: %s
  addresses: [%s]
  gateway: %s
listeners:
%spools:
  - name: web
    balance: round-robin
    health: {type: http, path: /healthz, interval: 1s, timeout: 500ms, rise: 2, fall: 3}
    backends:
      - {name: web1, address: "%s"}
      - {name: web2, address: "%s"}
admin: {socket: %s}
`
