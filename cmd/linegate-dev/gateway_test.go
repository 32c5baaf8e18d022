package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEndToEnd is what a person does first: a token by HTTP, the same
// conversation over plain TCP and TLS, and a look at the metrics.
func TestEndToEnd(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	dev := start(t, anyPorts...)
	token := dev.token()

	for name, dial := range map[string]func() net.Conn{"plain": dev.dial, "TLS": dev.dialTLS} {
		device := &device{t: t, name: name, Conn: dial()}
		device.send("AUTH " + token)
		device.expect("OK AUTH v=1 sub=dev-device ")
		device.send("ping")
		device.expect("pong")
		device.send("Hello World!")
		device.expect("from server: Hello World!")
		device.hangUp()
	}

	admin := dev.find(`admin API +(\S+)`)
	if sessions := dev.getAs(dev.tokenFor("linegate:admin"), admin+"sessions"); sessions != `{"items":[],"next":null}`+"\n" {
		t.Errorf("all have gone, and listed are %s", sessions)
	}
	metrics := dev.get(dev.find(`metrics +(\S+)`))
	for _, want := range []string{
		`linegate_connections_accepted_total{listener="plain"} 1`,
		`linegate_connections_accepted_total{listener="tls"} 1`,
		`linegate_auth_attempts_total{issuer="dev",kind="login",outcome="ok"} 2`,
		`linegate_jwks_keys{issuer="dev"} 2`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s in:\n%s", want, metrics)
		}
	}

	dev.stop()
	if left, err := filepath.Glob(filepath.Join(temporary, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, part := range strings.Split(token, ".")[1:] {
		if strings.Contains(dev.text+dev.stderr.String(), part[:16]) {
			t.Error("a part of the token was printed or logged")
		}
	}
}

// TestRotation: tokens from before and after each rotation are accepted; the
// key that the second one brings to use is new to the gateway.
func TestRotation(t *testing.T) {
	t.Parallel()
	dev := start(t, anyPorts...)
	login := func(when, token string) {
		device := &device{t: t, name: when, Conn: dev.dial()}
		device.send("AUTH " + token)
		device.expect("OK AUTH ")
		device.hangUp()
	}
	first := dev.token()
	login("at start", first)
	dev.rotate()
	second := dev.token()
	login("the next key", second)
	dev.rotate()
	third := dev.token()
	login("a key published since the gateway looked", third)
	login("the first key again", first)
	if keyOf(t, first) == keyOf(t, second) || keyOf(t, second) == keyOf(t, third) {
		t.Error("the keys did not change")
	}
	dev.stop()
}

// TestControl: the issuer's control API changes what the gateway lives on, and
// the gateway makes the best of it.
func TestControl(t *testing.T) {
	t.Parallel()
	dev := start(t, anyPorts...)
	login := func(when, token, want string) {
		t.Helper()
		device := &device{t: t, name: when, Conn: dev.dial()}
		device.send("AUTH " + token)
		device.expect(want)
		device.hangUp()
	}
	known := dev.token()
	login("at start, so that the keys have been fetched", known, "OK AUTH ")
	dev.control("settings", "algorithm=EdDSA&token_lifetime=20s")
	dev.control("rotate", "")
	unknown := dev.token()

	dev.control("outage", "mode=500")
	login("an outage, a key that the gateway has", known, "OK AUTH ")
	login("an outage, a key that it cannot get", unknown, "BYE temporarily_unavailable ")
	dev.control("outage", "mode=none")
	login("after the outage", unknown, "OK AUTH v=1 sub=dev-device ")
	dev.stop()
}

// TestStrangers: tokens of another run of the same issuer, and things that are
// no tokens.
func TestStrangers(t *testing.T) {
	t.Parallel()
	other := start(t, "--issuer-only", "--issuer-listen=127.0.0.1:0")
	dev := start(t, anyPorts...)
	for line, want := range map[string]string{
		"AUTH " + other.token(): "BYE invalid_token action=reauth ",
		"Hello World!":          "BYE invalid_request action=fix ",
	} {
		device := &device{t: t, name: want, Conn: dev.dial()}
		device.send(line)
		device.expect(want)
		device.expectEnd()
	}
	dev.stop()
	other.stop()
}

// TestStop: a session open at the first signal is told before it ends.
func TestStop(t *testing.T) {
	t.Parallel()
	dev := start(t, anyPorts...)
	device := &device{t: t, name: "device", Conn: dev.dial()}
	device.send("AUTH " + dev.token())
	device.expect("OK AUTH ")
	dev.signals <- syscall.SIGTERM
	device.expect("NOTICE draining ")
	device.expect("BYE draining action=retry ")
	device.expectEnd()
	if status := <-dev.status; status != 0 {
		t.Errorf("status %d: %s", status, dev.stderr)
	}
}

// TestSecondSignal ends at once, with 1, and leaves no files.
func TestSecondSignal(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	dev := start(t, anyPorts...)
	device := &device{t: t, name: "device", Conn: dev.dial()}
	device.send("AUTH " + dev.token())
	device.expect("OK AUTH ")
	dev.signals <- os.Interrupt
	dev.signals <- os.Interrupt
	if status := <-dev.status; status != 1 || !strings.HasSuffix(dev.stderr.String(), "linegate-dev: ended by a second signal\n") {
		t.Errorf("status %d: %s", status, dev.stderr)
	}
	if left, err := filepath.Glob(filepath.Join(temporary, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestBusyPorts: one line that names the flag, nothing printed, nothing left.
func TestBusyPorts(t *testing.T) {
	busy := occupy(t)
	for _, flag := range []string{"--listen", "--listen-tls", "--ops", "--admin"} {
		temporary := t.TempDir()
		t.Setenv("TMPDIR", temporary)
		var stdout, stderr bytes.Buffer
		p := program{stdout: &stdout, stderr: &stderr}
		status := p.Run(append(anyPorts[:len(anyPorts):len(anyPorts)], flag, busy))
		want := "linegate-dev: " + flag + ": listen tcp " + busy + ": bind: address already in use\n"
		if status != 1 || stderr.String() != want || stdout.Len() > 0 {
			t.Errorf("%d %q %q, want %q", status, &stderr, &stdout, want)
		}
		if left, err := filepath.Glob(filepath.Join(temporary, "*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	}
}

// anyPorts lets the system choose every port.
var anyPorts = []string{
	"--listen=127.0.0.1:0", "--listen-tls=127.0.0.1:0", "--ops=127.0.0.1:0", "--admin=127.0.0.1:0", "--issuer-listen=127.0.0.1:0",
}

// dial connects to where the printed line's nc does.
func (r *running) dial() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.ReplaceAll(r.find(`\| nc (\S+ \d+)`), " ", ":"))
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// dialTLS connects as the printed linegatectl connect does.
func (r *running) dialTLS() net.Conn {
	r.t.Helper()
	authority, err := os.ReadFile(r.find(`--ca-file (\S+)`))
	if err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		r.t.Fatal("no certificate in the CA file")
	}
	conn, err := tls.Dial("tcp", r.find(`--ca-file \S+ (\S+)`), &tls.Config{RootCAs: pool})
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

func (r *running) get(address string) string {
	r.t.Helper()
	return r.getAs("", address)
}

// getAs is get with a token.
func (r *running) getAs(token, address string) string {
	r.t.Helper()
	request, err := http.NewRequest("GET", address, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		r.t.Fatal(response.Status, err)
	}
	return string(body)
}

// device is the client's side of a conversation.
type device struct {
	t    *testing.T
	name string
	net.Conn
	lines *bufio.Reader
}

func (d *device) send(line string) {
	d.t.Helper()
	if _, err := io.WriteString(d.Conn, line+"\n"); err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
}

func (d *device) read() (string, error) {
	if d.lines == nil {
		d.lines = bufio.NewReader(d.Conn)
	}
	_ = d.SetReadDeadline(time.Now().Add(10 * time.Second))
	return d.lines.ReadString('\n')
}

// expect reads a line that begins with want.
func (d *device) expect(want string) {
	d.t.Helper()
	line, err := d.read()
	if err != nil || !strings.HasPrefix(line, want) {
		d.t.Fatalf("%s: got %q (%v), want %q", d.name, line, err, want)
	}
}

func (d *device) expectEnd() {
	d.t.Helper()
	if line, err := d.read(); err != io.EOF || line != "" {
		d.t.Fatalf("%s: got %q (%v), want the end", d.name, line, err)
	}
	_ = d.Close()
}

// hangUp ends the client's stream and waits for the gateway's end.
func (d *device) hangUp() {
	d.t.Helper()
	if conn, ok := d.Conn.(interface{ CloseWrite() error }); ok {
		_ = conn.CloseWrite()
	}
	d.expectEnd()
}
