package configs

import "github.com/tandem-lb/tandem/proxy/accesslog"

// accessLog reads where requests and sessions are told.
func (c *checker) accessLog(f *fileConfig) accesslog.Config {
	a := &f.AccessLog
	if !a.set || a.bad {
		return accesslog.Config{}
	}
	c.need(a.block, "file", a.File.set, "the path of a file, such as /var/log/tandem/access.log")
	cfg := accesslog.Config{
		File:   c.path(a.File, ""),
		Format: choice(c, a.Format, accesslog.Text, accesslog.Text, accesslog.JSON),
		Buffer: c.size(a.Buffer, 64<<10, 64<<20, 1<<20),
		Sample: c.number(a.Sample, 1_000_000, 1),
	}
	if a.File.ok() && within(cfg.File, "/tmp", "/home", "/root") {
		c.warn(a.File.place, "%s: tandem.service has a /tmp of its own and sees no homes; better /var/log/tandem/access.log", cfg.File)
	}
	return cfg
}
