package interop

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startGateway runs linegate serve for the tokens of one issuer and returns the
// address of its plain listener.
func startGateway(t *testing.T, issuer string) (address string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "linegate.yaml")
	config := `listen: [{name: devices, address: 127.0.0.1:0}]
ops: {address: 127.0.0.1:0}
drain: {timeout: 10ms}
issuers:
  - issuer: ` + issuer + `
    audience: [linegate]
    required_scopes: [line:connect]
    jwks: {cooldown: 1s}
`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway := start(t, "linegate", "serve", "--config", file)
	return gateway.line(`"msg":"listening".*"address":"([^"]+)"`)[1]
}

// device is a connection to the gateway, spoken by hand.
type device struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Scanner
}

func dial(t *testing.T, gateway string) *device {
	t.Helper()
	conn, err := net.Dial("tcp", gateway)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &device{t, conn, bufio.NewScanner(conn)}
}

func (d *device) says(lines ...string) {
	d.t.Helper()
	if _, err := d.conn.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		d.t.Fatal(err)
	}
}

// hears reads lines, each of which must begin as wanted.
func (d *device) hears(prefixes ...string) {
	d.t.Helper()
	for _, want := range prefixes {
		if !d.lines.Scan() {
			d.t.Fatalf("connection ended (%v), want %q", d.lines.Err(), want)
		}
		if got := d.lines.Text(); !strings.HasPrefix(got, want) {
			d.t.Fatalf("heard %q, want %q", got, want)
		}
	}
}

// wantAccepted opens a session with the token and has a conversation.
func wantAccepted(t *testing.T, gateway, token, subject string) *device {
	t.Helper()
	d := dial(t, gateway)
	d.says("AUTH "+token, "ping", "Hello World!")
	d.hears("OK AUTH v=1 sub="+subject+" ", "pong", "from server: Hello World!")
	return d
}
