package configs

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/tandem-lb/tandem/proxy/certs"
)

// Host tells facts of the machine that a file is checked on. A function that is nil is a fact that is not known, and
// what depends on it is not checked. What is wrong with facts is a Warning with Host set.
type Host struct {
	Name      func() (string, error)       // the default of node
	Addresses func() ([]netip.Addr, error) // of all interfaces
	Interface func(name string) error      // nil: it exists
	Key       func(path string) error      // nil: the key can be used; CheckKey
	File      func(path string) error      // nil: it can be read
	// Certificate is nil if the certificate in one file can be served with the key in the other.
	Certificate func(certFile, keyFile string) error
}

// ThisHost is the machine that we are on.
func ThisHost() Host {
	return Host{
		Name:      os.Hostname,
		Addresses: localAddresses,
		Interface: func(name string) error {
			_, err := net.InterfaceByName(name)
			return err
		},
		Key: CheckKey,
		File: func(path string) error {
			f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				return err
			}
			return f.Close()
		},
		Certificate: func(certFile, keyFile string) error {
			_, err := certs.Load(certs.Files{Cert: certFile, Key: keyFile}, time.Now())
			return err
		},
	}
}

func localAddresses() ([]netip.Addr, error) {
	as, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range as {
		if p, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(p.IP); ok {
				addrs = append(addrs, ip.Unmap())
			}
		}
	}
	return addrs, nil
}
