package track

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// checkLink looks whether an interface is up and has a carrier.
func checkLink(name string) error {
	l, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return errors.New("there is no such interface")
	case err != nil:
		return fmt.Errorf("look at it: %w", err)
	}
	return linkState(l.Attrs().RawFlags)
}

func linkState(flags uint32) error {
	switch {
	case flags&unix.IFF_UP == 0:
		return errors.New("down")
	case flags&unix.IFF_LOWER_UP == 0 || flags&unix.IFF_RUNNING == 0:
		return errors.New("no carrier")
	}
	return nil
}

// watchLinks calls changed at every report of the kernel about interfaces, until ctx is done; it returns nil then. What the reports say is looked up afresh.
func watchLinks(ctx context.Context, changed func()) error {
	sub, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return fmt.Errorf("subscribe to the kernel's reports: %w", err)
	}
	stop := context.AfterFunc(ctx, sub.Close)
	defer func() {
		if stop() {
			sub.Close()
		}
	}()
	for {
		_, _, err := sub.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, unix.ENOBUFS): // some were lost: all the more reason to look
			return fmt.Errorf("read the kernel's reports: %w", err)
		}
		changed()
	}
}
