package udp

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lb/tandem/proxy/pool"
)

// maxTries bounds the backends that are tried for one datagram.
const maxTries = 8

var errRefused = errors.New("datagrams are refused")

// fromClients forwards what clients have sent. The error means that the socket is broken.
func (l *loop) fromClients() error {
	for range rounds {
		n, errno := l.in.receive(l.socket.fd, batchSize, true, l.socket.wildcard)
		switch {
		case errno == unix.EAGAIN:
			return nil
		case errno == unix.EBADF || errno == unix.ENOTSOCK:
			return errno
		case errno != 0:
			return nil //nolint:nilerr // of one datagram, or no memory: the next look tells more
		}
		l.relay.stats.received.Add(uint64(n))
		l.sort()
		for _, f := range l.touched {
			l.forward(f)
		}
		l.in.n = 0
		if n < batchSize {
			return nil
		}
	}
	return nil
}

// sort finds the flows of the datagrams in the batch, or begins them.
func (l *loop) sort() {
	l.touched = l.touched[:0]
	for i := range l.in.n {
		f := l.flowOf(i)
		if f == nil {
			l.relay.stats.dropped.Add(1)
			continue
		}
		l.in.next[i] = -1
		if f.first < 0 {
			f.first = i
			l.touched = append(l.touched, f)
		} else {
			l.in.next[f.end] = i
		}
		f.end = i
		l.table.touch(f, l.now, false)
	}
}

// flowOf returns the flow of a datagram; nil if there is none, and none may begin.
func (l *loop) flowOf(i int) *flow {
	client, ok := l.in.names[i].addrPort()
	if !ok {
		return nil
	}
	k := key{client: client}
	if l.socket.wildcard {
		k.local = l.in.local(i)
	}
	if f := l.table.byKey[k]; f != nil {
		return f
	}
	r := l.relay
	if r.conf().Admit != nil {
		if err := r.conf().Admit(client.Addr(), l.evict); err != nil {
			r.stats.refused.Add(1)
			if n, tell := l.refusals.count(l.now); tell {
				r.log.Warn("flows refused", "addr", client, "err", err, "times", n)
			}
			return nil
		}
	}
	for l.table.len() >= r.conf().MaxFlows {
		l.evict()
	}
	f := l.table.add(k, l.now)
	f.name = l.in.names[i]
	r.stats.flows.Add(1)
	r.stats.opened.Add(1)
	return f
}

// evict ends the flow that has been silent longest, for a new one, and reports whether there was one.
func (l *loop) evict() bool {
	f := l.table.oldest()
	if f == nil {
		return false
	}
	l.drop(f)
	l.end(f, "evicted")
	l.relay.stats.evicted.Add(1)
	if n, tell := l.evictions.count(l.now); tell {
		l.relay.log.Warn("flows ended early, for there are too many", "limit", l.relay.conf().MaxFlows, "times", n)
	}
	return true
}

// drop forgets the datagrams of the batch that belong to f.
func (l *loop) drop(f *flow) {
	for i := f.first; i >= 0; i = l.in.next[i] {
		l.relay.stats.dropped.Add(1)
	}
	f.first, f.end = -1, -1
}

// forward sends a flow's datagrams of the batch to its backend.
func (l *loop) forward(f *flow) {
	var tried [maxTries]*pool.Backend
	n := 0
	if f.avoid != nil {
		tried[0], n = f.avoid, 1
	}
	for f.first >= 0 {
		if f.fd < 0 && !l.open(f, tried[:n]) {
			if n != 1 || f.avoid != tried[0] {
				l.refuse(f)
				return
			}
			f.avoid, n = nil, 0 // there is no other, and it may have come back
			continue
		}
		var errno unix.Errno
		f.first, errno = l.in.sendOn(f.fd, f.first)
		switch errno {
		case 0:
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.EMSGSIZE, unix.EPERM:
			l.relay.stats.dropped.Add(1)
			f.first = l.in.next[f.first]
		default: // of what was sent before; this datagram goes to another backend
			if n == maxTries {
				l.refuse(f)
				return
			}
			tried[n] = f.lease.Backend()
			n++
			l.leave(f, errno)
		}
	}
	f.end = -1
}

// refuse ends a flow for which there is no backend.
func (l *loop) refuse(f *flow) {
	l.drop(f)
	l.end(f, "no backend")
	l.relay.stats.refused.Add(1)
}

// open gives a flow a backend.
func (l *loop) open(f *flow, not []*pool.Backend) bool {
	r := l.relay
	for range maxTries {
		lease, err := r.conf().pool.Pick(pool.Request{Client: f.key.client.Addr()}, not...)
		if err != nil {
			return false
		}
		b := lease.Backend()
		if l.connect(f, b.Address()) {
			f.lease = lease
			f.session = &session{relay: r, name: name{f.slot, f.gen}}
			if b.Attach(f.session) {
				return true
			}
			_ = unix.Close(f.fd)
			f.fd = -1
		}
		lease.Done(nil)
		f.lease, f.session = pool.Lease{}, nil
		if len(not) == cap(not) {
			return false
		}
		not = append(not, b)
	}
	return false
}

// connect opens the socket of a flow.
func (l *loop) connect(f *flow, to netip.AddrPort) bool {
	fd, err := connected(to)
	if err == nil {
		if err = l.watch(fd, name{f.slot, f.gen}); err == nil {
			f.fd = fd
			return true
		}
		_ = unix.Close(fd)
	}
	if n, tell := l.shortages.count(l.now); tell {
		l.relay.log.Warn("no socket for a flow", "addr", to, "err", err, "times", n)
	}
	return false
}

// fromBackend takes a backend's answers.
func (l *loop) fromBackend(f *flow) {
	if l.out.n == batchSize {
		l.flush()
	}
	before := l.out.n
	n, errno := l.out.receive(f.fd, batchSize, false, false)
	switch {
	case errno == unix.EAGAIN, errno == unix.EINTR,
		errno == unix.EMSGSIZE, errno == unix.ENOMEM, errno == unix.ENOBUFS: // of one datagram that was too large, or this host's fault
		return
	case errno != 0: // nobody listens there: the next datagram goes to another backend
		f.avoid = f.lease.Backend()
		l.leave(f, errors.Join(errRefused, errno))
		return
	}
	if f.answers == 0 {
		f.lease.Answered()
	}
	for i := before; i < before+n; i++ {
		l.out.address(i, &f.name, f.key.local)
		l.table.touch(f, l.now, true)
	}
	if most := l.relay.conf().Responses; most > 0 && f.answers >= uint64(most)*f.sent {
		l.end(f, "answered")
	}
}

// flush sends the answers.
func (l *loop) flush() {
	n := l.out.n
	if n == 0 {
		return
	}
	lost := l.out.send(l.socket.fd)
	l.relay.stats.answers.Add(uint64(n - lost))
	l.relay.stats.dropped.Add(uint64(lost))
}
