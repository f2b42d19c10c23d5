package lab

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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
	cmd := exec.Command(binary, "run", "--config", n.ConfigPath()) //nolint:noctx // ends with the lab
	if n.Witness {
		if err := n.unprivileged(cmd); err != nil {
			return nil, fmt.Errorf("run %s without privileges: %w", n.Name(), err)
		}
	}
	p, err := n.Start(n.Name(), cmd)
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
	if n.Witness { // which may be another user's
		key, err := os.ReadFile(n.lab.Path("cluster.key"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(n.keyPath(), key, 0o600); err != nil {
			return err
		}
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
	var peers []string
	for _, o := range p.Others(n) {
		peers = append(peers, strconv.Quote(netip.AddrPortFrom(o.Addr(), 7946).String()))
	}
	modes := ""
	if p.Config.Quorum {
		modes += "  quorum: true\n"
	}
	if n.Witness {
		modes += "  witness: true\n"
	}
	head := fmt.Sprintf(headText, n.Name(), n.path("state"), n.RunDir(), cmp.Or(p.Config.LogLevel, "info"), netip.AddrPortFrom(n.Addr(), 7946),
		strings.Join(peers, ", "), n.keyPath(), 100-10*n.Index, modes, n.Socket())
	if n.Witness {
		return head
	}
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
	return head + fmt.Sprintf(serviceText, n.Link(), strings.Join(addresses, ", "), p.Gateway.Addr(), listeners.String(),
		p.Backends[0].Addr(), p.Backends[1].Addr())
}

// keyPath is where the node finds the cluster's key.
func (n *Node) keyPath() string {
	if n.Witness {
		return n.path("cluster.key")
	}
	return n.lab.Path("cluster.key")
}

const headText = `node: %s
state_dir: %s
run_dir: %s
log: {level: %s, format: text}
cluster:
  bind: %s
  peers: [%s]
  key_file: %s
  priority: %d
%sadmin: {socket: %s}
`

const serviceText = `vip:
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
`

// nobody is the user that a witness runs as.
const nobody = 65534

// unprivileged has cmd run as nobody, with what it needs made nobody's. Where the lab is root of a user namespace and there is no other
// user, it changes nothing.
func (n *Node) unprivileged(cmd *exec.Cmd) error {
	if !mapped(nobody) {
		return nil
	}
	// Directories made for tests are closed to others: the binary is copied to where nobody can reach it.
	binary := n.path("tandem")
	if err := copyFile(binary, cmd.Path); err != nil {
		return err
	}
	cmd.Path = binary
	if err := os.Chmod(n.lab.Dir(), 0o711); err != nil { // a way through, for a user of the lab
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return filepath.WalkDir(n.path(), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	})
}

// mapped reports whether this process may become that user.
func mapped(uid uint64) bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || os.Geteuid() != 0 {
		return false
	}
	for line := range strings.Lines(string(text)) {
		var first, outside, count uint64
		if n, _ := fmt.Sscan(line, &first, &outside, &count); n == 3 && uid >= first && uid-first < count {
			return true
		}
	}
	return false
}

func copyFile(to, from string) error {
	_ = os.Remove(to) // of an earlier start: it may still be running, and must not be written to
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755) // it is to be executed by another user
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
