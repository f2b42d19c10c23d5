package pool

// TLS describes how backends are spoken to by TLS. Files are PEM.
type TLS struct {
	// ServerName is sent to the backend (SNI), and its certificate must have it. Empty: the backend's address must be in it.
	ServerName string
	// CAFile has the authorities that may have signed it; empty: those of the system.
	CAFile string
	// Insecure takes any certificate, so that whoever sits between can read and change everything.
	Insecure bool
	// CertFile and KeyFile are what we show to a backend that asks for a client's certificate; empty: nothing.
	CertFile, KeyFile string
}

// HTTP2 reports whether requests go to the backends by HTTP/2.
func (p *Pool) HTTP2() bool { return p.conf().http2 }

// TLS says how the backends are spoken to; nil: without.
func (p *Pool) TLS() *TLS { return p.conf().tls }
