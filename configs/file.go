package configs

// The structs of this file are the shape of the YAML file: a field per key, each a scalar (one value), a list (of
// values), blocks (a list of mappings) or a struct with an embedded block (a mapping). They hold what was written and
// where; the meaning is given in the convert files.

type fileConfig struct {
	block
	Node      scalar               `key:"node"`
	StateDir  scalar               `key:"state_dir"`
	RunDir    scalar               `key:"run_dir"`
	Drain     scalar               `key:"drain"`
	Log       fileLog              `key:"log"`
	Cluster   fileCluster          `key:"cluster"`
	VIP       fileVIP              `key:"vip"`
	Listeners blocks[fileListener] `key:"listeners"`
	Pools     blocks[filePool]     `key:"pools"`
	Track     fileTrack            `key:"track"`
	Admin     fileAdmin            `key:"admin"`
	AccessLog fileAccessLog        `key:"access_log"`
	Notify    blocks[fileNotify]   `key:"notify"`
	Resolver  fileResolver         `key:"resolver"`
}

type fileResolver struct {
	block
	Servers list   `key:"servers"`
	MinTTL  scalar `key:"min_ttl"`
	MaxTTL  scalar `key:"max_ttl"`
	Timeout scalar `key:"timeout"`
}

type fileAccessLog struct {
	block
	File   scalar `key:"file"`
	Format scalar `key:"format"`
	Buffer scalar `key:"buffer"`
	Sample scalar `key:"sample"`
}

type fileNotify struct {
	block
	On      list   `key:"on"`
	Command list   `key:"command"`
	Timeout scalar `key:"timeout"`
	RunAs   scalar `key:"run_as"`
}

type fileLog struct {
	block
	Level  scalar `key:"level"`
	Format scalar `key:"format"`
}

type fileCluster struct {
	block
	Name         scalar `key:"name"`
	Bind         scalar `key:"bind"`
	Peers        list   `key:"peers"`
	KeyFile      scalar `key:"key_file"`
	Insecure     scalar `key:"insecure"`
	Priority     scalar `key:"priority"`
	Preempt      scalar `key:"preempt"`
	PreemptDelay scalar `key:"preempt_delay"`
	Failover     scalar `key:"failover"`
	Settle       scalar `key:"settle"`
	Quorum       scalar `key:"quorum"`
	Witness      scalar `key:"witness"`

	Mirrors list             `key:"mirrors"`
	Paths   blocks[filePath] `key:"paths"`
}

type filePath struct {
	block
	Bind  scalar `key:"bind"`
	Peers list   `key:"peers"`
}

type fileVIP struct {
	block
	Interface scalar           `key:"interface"`
	Addresses list             `key:"addresses"`
	Lease     scalar           `key:"lease"`
	Refresh   scalar           `key:"refresh"`
	Gateway   scalar           `key:"gateway"`
	More      blocks[fileMore] `key:"more"`
}

type fileMore struct {
	block
	Interface scalar `key:"interface"`
	Addresses list   `key:"addresses"`
	Gateway   scalar `key:"gateway"`
}

type fileListener struct {
	block
	Name             scalar `key:"name"`
	Bind             scalar `key:"bind"`
	Protocol         scalar `key:"protocol"`
	Pool             scalar `key:"pool"`
	IdleTimeout      scalar `key:"idle_timeout"`
	TunnelTimeout    scalar `key:"tunnel_timeout"`
	HalfCloseTimeout scalar `key:"half_close_timeout"`
	HeaderTimeout    scalar `key:"header_timeout"`
	BodyTimeout      scalar `key:"body_timeout"`
	ResponseTimeout  scalar `key:"response_timeout"`
	MaxHeader        scalar `key:"max_header"`
	TrustedProxies   list   `key:"trusted_proxies"`
	Deny             list   `key:"deny"`
	Allow            list   `key:"allow"`
	MinRate          scalar `key:"min_rate"`
	ProxyProtocol    scalar `key:"proxy_protocol"`
	MaxBody          scalar `key:"max_body"`
	Responses        scalar `key:"responses"`
	MaxConns         scalar `key:"max_conns"`
	MaxPerClient     scalar `key:"max_conns_per_client"`
	RateLimit        scalar `key:"rate_limit"`
	RateBurst        scalar `key:"rate_burst"`

	Routes       blocks[fileRoute]     `key:"routes"`
	LenientPaths scalar                `key:"lenient_paths"`
	RequestID    scalar                `key:"request_id"`
	AccessLog    scalar                `key:"access_log"`
	ErrorPages   blocks[fileErrorPage] `key:"error_pages"`

	H2C scalar           `key:"h2c"`
	TLS fileListenerTLS  `key:"tls"`
	SNI blocks[fileName] `key:"sni"`
}

// fileListenerTLS is one word, or a mapping.
type fileListenerTLS struct {
	block
	word         scalar
	Certificates blocks[fileCertificate] `key:"certificates"`
	ClientCAFile scalar                  `key:"client_ca_file"`
	MinVersion   scalar                  `key:"min_version"`
}

type fileCertificate struct {
	block
	CertFile scalar `key:"cert_file"`
	KeyFile  scalar `key:"key_file"`
}

type fileName struct {
	block
	Names list   `key:"names"`
	Pool  scalar `key:"pool"`
}

type filePoolTLS struct {
	block
	ServerName scalar `key:"server_name"`
	CAFile     scalar `key:"ca_file"`
	Insecure   scalar `key:"insecure"`
	CertFile   scalar `key:"cert_file"`
	KeyFile    scalar `key:"key_file"`
}

type filePool struct {
	block
	Name           scalar              `key:"name"`
	Balance        scalar              `key:"balance"`
	ConnectTimeout scalar              `key:"connect_timeout"`
	Protocol       scalar              `key:"protocol"`
	ProxyProtocol  scalar              `key:"proxy_protocol"`
	TLS            filePoolTLS         `key:"tls"`
	Health         fileHealth          `key:"health"`
	Backends       blocks[fileBackend] `key:"backends"`
	BoundedLoad    scalar              `key:"bounded_load"`
	SlowStart      scalar              `key:"slow_start"`
	Panic          scalar              `key:"panic"`
	KeepAtLeast    scalar              `key:"keep_at_least"`
	Queue          fileQueue           `key:"queue"`
	Sticky         fileSticky          `key:"sticky"`
	OnDown         scalar              `key:"on_down"`
	Eject          fileEject           `key:"eject"`
	Retries        fileRetries         `key:"retries"`
	MaxRequests    scalar              `key:"max_requests"`
}

// fileEject is a mapping, or the word off.
type fileEject struct {
	block
	word     scalar
	Failures scalar `key:"failures"`
	Time     scalar `key:"time"`
	Growth   scalar `key:"growth"`
	MaxTime  scalar `key:"max_time"`
}

// fileRetries is a mapping, or the word off.
type fileRetries struct {
	block
	word     scalar
	Attempts scalar `key:"attempts"`
	Budget   scalar `key:"budget"`
	Repeat   scalar `key:"repeat"`
}

type fileBackend struct {
	block
	Name    scalar `key:"name"`
	Address scalar `key:"address"`
	Weight  scalar `key:"weight"`

	Backup    scalar `key:"backup"`
	MaxConns  scalar `key:"max_conns"`
	Addresses scalar `key:"addresses"`
}

type fileQueue struct {
	block
	Size    scalar `key:"size"`
	Timeout scalar `key:"timeout"`
}

type fileSticky struct {
	block
	Cookie scalar `key:"cookie"`
}

type fileHealth struct {
	block
	Type          scalar `key:"type"`
	Interval      scalar `key:"interval"`
	FastInterval  scalar `key:"fast_interval"`
	Timeout       scalar `key:"timeout"`
	Rise          scalar `key:"rise"`
	Fall          scalar `key:"fall"`
	Port          scalar `key:"port"`
	Method        scalar `key:"method"`
	Path          scalar `key:"path"`
	Host          scalar `key:"host"`
	ExpectStatus  list   `key:"expect_status"`
	ExpectBody    scalar `key:"expect_body"`
	TLS           scalar `key:"tls"`
	TLSServerName scalar `key:"tls_server_name"`
	TLSInsecure   scalar `key:"tls_insecure"`
	TLSCAFile     scalar `key:"tls_ca_file"`
	Headers       list   `key:"headers"`
	Send          scalar `key:"send"`
	Expect        scalar `key:"expect"`
	Service       scalar `key:"service"`
	Command       list   `key:"command"`
	RunAs         scalar `key:"run_as"`
}

type fileAdmin struct {
	block
	Socket scalar `key:"socket"`
}
