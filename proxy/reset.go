package proxy

// Reset ends every session now; clients and backends see a reset. Listeners go on. A node that lets the VIP go calls it
// while its resets still reach the clients, so that they open anew at once instead of waiting for answers that cannot come.
func (p *Proxy) Reset() {
	for _, d := range p.allDoors() {
		if d.relay != nil {
			d.relay.Reset()
		}
		for _, s := range d.sessions.list() {
			s.cut()
		}
	}
}
