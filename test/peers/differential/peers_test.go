package differential

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// HAProxy and nginx as Debian has them, with their defaults for what is asked here.

func haproxy(t *testing.T, b *backend) string {
	addr := free(t)
	return daemon(t, addr, "haproxy.cfg", fmt.Sprintf(`global
    nbthread 1
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
    timeout http-request 10s
frontend web
    bind %s
    option forwardfor
    default_backend web
backend web
    server a %s
`, addr, b.addr), "haproxy", "-db", "-f")
}

func nginx(t *testing.T, b *backend) string {
	addr, dir := free(t), t.TempDir()
	return daemon(t, addr, "nginx.conf", fmt.Sprintf(`daemon off;
pid %[1]s/pid;
error_log %[1]s/error.log;
worker_processes 1;
user root;
events {}
http {
    access_log off;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    server {
        listen %[2]s;
        location / {
            proxy_pass http://%[3]s;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }
    }
}
`, dir, addr, b.addr), "nginx", "-e", filepath.Join(dir, "error.log"), "-c")
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// daemon writes a configuration, starts a program with it, and waits until it listens.
func daemon(t *testing.T, addr, name, config, program string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(args, path)...)
	if cmd.Err != nil {
		cmd = exec.Command("/usr/sbin/"+program, append(args, path)...)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v\n%s", program, err, out.String())
		}
	}
}
