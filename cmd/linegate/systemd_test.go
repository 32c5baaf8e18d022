package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// handed are sockets that this test has, and hands over as systemd does, by name.
type handed struct {
	names []string
	files []*os.File
}

// socket adds one that listens at address, and returns where that is.
func (h *handed) socket(t *testing.T, name, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	h.names, h.files = append(h.names, name), append(h.files, file)
	return l.Addr().String()
}

// command is the program that gets them.
func (h *handed) command() *exec.Cmd {
	c := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, os.Args[0], "serve", "--config", "linegate.yaml")
	c.Env = []string{"LISTEN_FDS=" + strconv.Itoa(len(h.files)), "LISTEN_FDNAMES=" + strings.Join(h.names, ":")}
	c.ExtraFiles = h.files
	return c
}

// TestHandedOverSockets: devices, operators and administrators come in at sockets
// that somebody else bound; a listener may have several, and one that nobody asked
// for is named.
func TestHandedOverSockets(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, `listen: [{name: devices, address: systemd:devices}]
ops: {address: systemd:ops}
admin: {address: systemd:admin, issuers: [main]}
drain: {timeout: 10ms}
issuers:
`+issuerRow("main", issuer, ""))
	var sockets handed
	devices := []string{sockets.socket(t, "devices", "127.0.0.1:0")}
	admin := sockets.socket(t, "admin", "127.0.0.1:0")
	sockets.socket(t, "forgotten", "127.0.0.1:0")
	ops := sockets.socket(t, "ops", "127.0.0.1:0")
	devices = append(devices, sockets.socket(t, "devices", "127.0.0.2:0"))

	p := launch(t, sockets.command())
	p.ops, p.admin = "http://"+ops, admin
	if name := p.nextRecord("socket handed over, and no address asks for it").Name; name != "forgotten" {
		t.Errorf("nobody asked for %q", name)
	}
	for _, address := range devices {
		p.device = address
		p.loggedIn(issuer.Token())
	}
	if n := p.metric(`linegate_connections_accepted_total{listener="devices"}`); n != 2 {
		t.Errorf("%d connections were accepted", n)
	}
	p.ask(issuer.Token(authtest.Claim("scope", "linegate:admin")), http.MethodGet, "", "", http.StatusOK, &struct{}{})
	p.end(syscall.SIGTERM, exitOK)
}

// TestHandedOverSocketsRefused: a name that was not handed over, and a socket
// where the configuration may not listen, are one line each, and the end.
func TestHandedOverSocketsRefused(t *testing.T) {
	const plain, off = "127.0.0.1:0", "0.0.0.0:0"
	for _, test := range []struct {
		name    string
		config  string
		sockets []string // name and address, in turn
		want    string   // WHERE is the last socket
	}{
		{
			"none handed over", "listen: [{address: systemd:devices}]", nil,
			`listen[0].address: no socket named "devices": none was handed over`,
		}, {
			"another name", "listen: [{address: systemd:devices}]",
			[]string{"device", plain, "ops", plain},
			`listen[0].address: no socket named "devices": handed over were device, ops`,
		}, {
			"plain off loopback", "listen: [{address: systemd:devices}]",
			[]string{"devices", plain, "devices", off},
			`listen[0].address: the socket listens on WHERE: plain TCP off loopback would show tokens to the network: configure tls (--tls-cert, --tls-key), or set insecure_plaintext: true in a file`,
		}, {
			"profiles off loopback", "listen: [{address: '127.0.0.1:0'}]\nops: {address: systemd:ops, pprof: true}",
			[]string{"ops", off},
			`ops.address: the socket listens on WHERE: ops.pprof is only for loopback`,
		}, {
			"admin in clear off loopback", "listen: [{address: '127.0.0.1:0'}]\nops: {address: '127.0.0.1:0'}\nadmin: {address: systemd:admin}",
			[]string{"admin", off},
			`admin.address: the socket listens on WHERE: off loopback it needs TLS: set admin.tls.cert and admin.tls.key`,
		}, {
			"two for one", "listen: [{address: '127.0.0.1:0'}]\nops: {address: systemd:ops}",
			[]string{"ops", plain, "ops", plain},
			`ops.address: want one socket, 2 were handed over as systemd:ops`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			inDir(t, test.config+"\nlog: {level: error}\n"+goodFile)
			var sockets handed
			where := ""
			for i := 0; i < len(test.sockets); i += 2 {
				where = sockets.socket(t, test.sockets[i], test.sockets[i+1])
			}
			command := sockets.command()
			command.Env = append(os.Environ(), append(command.Env, programVariable+"=1")...)
			said, _ := command.CombinedOutput()
			if want := "linegate: " + strings.Replace(test.want, "WHERE", where, 1) + "\n"; string(said) != want {
				t.Errorf("\ngot  %swant %s", said, want)
			}
			if status := command.ProcessState.ExitCode(); status != exitFailed {
				t.Errorf("exit status %d", status)
			}
		})
	}
	t.Run("plain off loopback, said aloud", func(t *testing.T) {
		inDir(t, "listen: [{address: systemd:devices, insecure_plaintext: true}]\nops: {address: '127.0.0.1:0'}\ndrain: {timeout: 0s}\n"+goodFile)
		var sockets handed
		sockets.socket(t, "devices", off)
		p := launch(t, sockets.command())
		p.nextRecord("operator's HTTP")
		p.end(syscall.SIGTERM, exitOK)
	})
}

// TestNobodyIsRefusedBetweenTwoProcesses: who connects and logs in while there is
// no gateway, whatever ended the last, is served by the next.
func TestNobodyIsRefusedBetweenTwoProcesses(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, configuration(issuer, "listen: [{address: systemd:devices}]", "drain: {timeout: 10ms}"))
	var sockets handed
	device := sockets.socket(t, "devices", "127.0.0.1:0")
	for _, end := range []struct {
		signal syscall.Signal
		status int
	}{{syscall.SIGTERM, exitOK}, {syscall.SIGKILL, -1}} {
		p := launch(t, sockets.command())
		p.device = device
		p.loggedIn(issuer.Token())
		p.end(end.signal, end.status)

		var waiting []*answers
		for range 20 {
			waiting = append(waiting, p.login(issuer.Token()))
		}
		next := launch(t, sockets.command())
		for _, d := range waiting {
			d.want("OK AUTH v=1 ")
		}
		next.end(syscall.SIGTERM, exitOK)
	}
}

// TestServiceManager is told when the gateway listens, of each reload whether it
// was taken or not, of the drain, and in time that the process lives.
func TestServiceManager(t *testing.T) {
	issuer := authtest.Serve(t)
	issuer.Fail(authtest.Refused) // it listens, keys or not
	file := configuration(issuer, onePort, "drain: {timeout: 10ms}")
	inDir(t, file)
	manager := newManager(t)
	command := newCommand()
	command.Env = []string{"NOTIFY_SOCKET=" + manager.address, "WATCHDOG_USEC=400000"}
	p := launch(t, command)

	manager.want("READY=1", "STATUS=not ready, sessions: 0")
	p.listens() // so that was logged before
	nc, err := net.Dial("tcp", p.device)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for range 3 {
		manager.want("WATCHDOG=1", "STATUS=not ready, sessions: 0")
	}
	for _, reload := range []struct{ text, state string }{
		{file + "log: {level: loud}\n", "STATUS=not ready, sessions: 0, last reload refused"},
		{file + "log: {level: debug}\n", "STATUS=not ready, sessions: 0"},
	} {
		rewrite(t, reload.text)
		p.signal(syscall.SIGHUP)
		manager.want("RELOADING=1", "MONOTONIC_USEC=")
		manager.want("READY=1", reload.state)
	}
	p.end(syscall.SIGTERM, exitOK)
	manager.want("STOPPING=1", "STATUS=draining, sessions left: 0")
}

// manager is what systemd has at the other end of NOTIFY_SOCKET.
type manager struct {
	t       *testing.T
	address string
	socket  *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, address: filepath.Join(t.TempDir(), "notify")}
	var err error
	if m.socket, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.address, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.socket.Close() })
	return m
}

// want waits for a message with these lines, of which those that end in = have a
// value as well. Signs of life that come before another are passed over.
func (m *manager) want(lines ...string) {
	m.t.Helper()
	_ = m.socket.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		buf := make([]byte, 4096)
		n, err := m.socket.Read(buf)
		if err != nil {
			m.t.Fatalf("no %q: %v", lines, err)
		}
		got := strings.Split(string(buf[:n]), "\n")
		if got[0] == "WATCHDOG=1" && lines[0] != got[0] {
			continue
		}
		ok := len(got) == len(lines)
		for i, line := range lines {
			ok = ok && (got[i] == line || strings.HasSuffix(line, "=") && strings.HasPrefix(got[i], line))
		}
		if !ok {
			m.t.Fatalf("told %q, want %q", got, lines)
		}
		return
	}
}
