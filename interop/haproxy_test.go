package interop

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestHAProxy puts HAProxy before a gateway, with both versions of the PROXY
// protocol and with its health checks: devices are served, and known by their own
// address; checks are counted as such, leave no record, and find the gateway up.
func TestHAProxy(t *testing.T) {
	issuer, _ := startDev(t)
	g := startBalanced(t, issuer)
	const version2 = "send-proxy-v2 check inter 100ms"
	_, opsPort, err := net.SplitHostPort(g.ops)
	if err != nil {
		t.Fatal(err)
	}
	ways := []struct {
		name   string
		secure bool // the device speaks TLS
		server string
	}{
		{"version 1", false, g.plain + " send-proxy"},
		{"version 1, TLS", true, g.tls + " send-proxy"},
		{"version 2", false, g.plain + " " + version2},
		{"version 2, TLS", true, g.tls + " " + version2},
		{"version 2, TLS by HAProxy", false, g.tls + " " + version2 + " ssl verify none no-check-ssl"},
		{"version 2, asked for readiness", true, g.tls + " " + version2 + " port " + opsPort + "\n option httpchk GET /readyz"},
	}
	config := "defaults\n mode tcp\n timeout connect 10s\n timeout client 30s\n timeout server 30s\n"
	var sockets []*os.File
	var doors []string // where HAProxy listens, one a way
	for i, way := range ways {
		socket, address := listen(t)
		sockets, doors = append(sockets, socket), append(doors, address)
		config += fmt.Sprintf("listen way%d\n bind fd@%d\n server gateway %s\n", i, 3+i, way.server)
	}
	haproxy := startHAProxy(t, config, sockets)

	for i, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			// Not the address that HAProxy itself connects from.
			nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).Dial("tcp", doors[i])
			if err != nil {
				t.Fatal(err)
			}
			address := nc.LocalAddr().String()
			if way.secure {
				nc = tls.Client(nc, &tls.Config{RootCAs: g.roots, ServerName: "127.0.0.1"})
			}
			defer nc.Close()
			if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			d := &device{t, nc, bufio.NewScanner(nc)}
			d.says("AUTH "+clientToken(t, issuer), "ping", "Hello World!")
			d.hears("OK AUTH v=1 sub=", "pong", "from server: Hello World!")
			g.process.line(`"msg":"session opened".*"remote":"` + regexp.QuoteMeta(address) + `"`)
		})
	}

	for deadline := time.Now().Add(patience); g.closed(t, "health_check") < 10; {
		if time.Now().After(deadline) {
			t.Fatalf("%d health checks", g.closed(t, "health_check"))
		}
		time.Sleep(50 * time.Millisecond)
	}
	if n := g.closed(t, "proxy_header"); n != 0 {
		t.Errorf("%d bad headers", n)
	}
	haproxy.never(`is DOWN`)
	g.process.never(`PROXY header refused|"level":"(WARN|ERROR)"`)
}

// balanced is a gateway that expects PROXY headers from 127.0.0.1.
type balanced struct {
	process         *process
	plain, tls, ops string
	roots           *x509.CertPool
}

func startBalanced(t *testing.T, issuer string) *balanced {
	t.Helper()
	dir := t.TempDir()
	g := &balanced{roots: writeCertificate(t, dir)}
	file := filepath.Join(dir, "linegate.yaml")
	config := `listen:
  - {name: plain, address: 127.0.0.1:0, proxy_protocol: {trusted: [127.0.0.1/32]}}
  - {name: tls, address: 127.0.0.1:0, proxy_protocol: {trusted: [127.0.0.1/32]}, tls: {cert: ` + dir + `/tls.crt, key: ` + dir + `/tls.key}}
ops: {address: 127.0.0.1:0}
drain: {timeout: 10ms}
issuers:
  - issuer: ` + issuer + `
    audience: [linegate]
    required_scopes: [line:connect]
`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	g.process = start(t, "linegate", "serve", "--config", file)
	g.plain = g.process.line(`"msg":"listening","listener":"plain","address":"([^"]+)"`)[1]
	g.tls = g.process.line(`"msg":"listening","listener":"tls","address":"([^"]+)"`)[1]
	g.ops = g.process.line(`"msg":"operator's HTTP","address":"([^"]+)"`)[1]
	return g
}

// closed returns how many connections ended for reason.
func (g *balanced) closed(t *testing.T, reason string) int {
	t.Helper()
	answer, err := http.Get("http://" + g.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^linegate_connections_closed_total\{reason="` + reason + `"\} (\d+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("no series for %s", reason)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// writeCertificate writes tls.crt and tls.key, for 127.0.0.1, and returns what
// trusts them.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: server.Certificate().Raw}, "tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return roots
}

// listen makes a socket for a program that inherits it, so that nobody else can
// take its port.
func listen(t *testing.T) (socket *os.File, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if socket, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket, l.Addr().String()
}

func startHAProxy(t *testing.T, config string, sockets []*os.File) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := haproxy()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-db", "-f", file)
	cmd.ExtraFiles = sockets
	return startCommand(t, cmd)
}

// clientToken is a token of the development issuer's own client.
func clientToken(t *testing.T, issuer string) string {
	t.Helper()
	cmd := exec.Command("linegatectl", "token", "--issuer", issuer)
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
