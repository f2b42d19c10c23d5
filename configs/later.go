package configs

// laterKey knows the keys of later versions by their general path: what to use today instead, or "" if the key is not one of them.
// They are refused by name, so that nobody believes that they work.
func laterKey(path string) string {
	switch path {
	case "cluster.voters":
		return "one path between the nodes, cluster.bind to cluster.peers"
	case "cluster.key_files", "cluster.keys":
		return "one cluster.key_file"
	case "cluster.notify", "vip.notify":
		return "notify at the top level of the file"
	case "pools[].backends[].tls":
		return "tls of the whole pool"
	case "listeners[].acl", "listeners[].limits":
		return "no limits on clients; use nftables on the hosts"
	case "pools[].max_conns":
		return "max_conns of each backend, and max_requests of the pool"
	case "pools[].http2", "pools[].h2c", "pools[].alpn", "pools[].backends[].protocol":
		return "protocol of the whole pool: http1 or http2"
	case "pools[].send_proxy":
		return "pools[].proxy_protocol"
	case "listeners[].flows":
		return "listeners[].max_conns"
	case "listeners[].http2", "listeners[].alpn":
		return "HTTP/2 by ALPN on http listeners with tls, and h2c: true without"
	case "pools[].cookie":
		return "sticky: {cookie: NAME}"
	case "pools[].hash":
		return "balance: source-hash and maglev, by the client's address"
	case "pools[].init":
		return "health: backends begin unchecked, and the first probe decides"
	case "pools[].backends[].track", "pools[].backends[].state":
		return "weight, and health to take a backend out"
	case "admin.listen", "admin.token", "admin.tls", "admin.group", "metrics", "dashboard":
		return "admin.socket, and tandem status --json over it"
	case "vip.groups", "vips":
		return "one vip section, whose addresses move together (on further interfaces: vip.more)"
	}
	return ""
}

// laterValue is laterKey for the values of a key.
func laterValue(path, value string) bool {
	switch path {
	case "listeners[].protocol":
		switch value {
		case "http2", "h2", "h2c", "grpc":
			return true
		}
	}
	return false
}
