package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
)

// The whole program, with real sockets: a device is let in and served, a bad
// reload is told and changes nothing, and a signal drains.
func TestServe(t *testing.T) {
	issuer := authtest.Serve(t)
	file := `listen:
  - {name: devices, address: 127.0.0.1:0}
ops: {address: 127.0.0.1:0}
drain: {timeout: 10ms}
issuers:
  - issuer: ` + issuer.URL + `
    audience: [` + authtest.Audience + `]
    required_scopes: [` + authtest.Scope + `]
`
	inDir(t, file)
	records := make(records, 1000)
	signals := signals{}
	p := &program{
		stdout: io.Discard, stderr: records,
		notify: signals.notify,
		open:   openApp,
	}
	status := make(chan int, 1)
	go func() { status <- p.run(t.Context(), []string{"serve", "--config", "linegate.yaml"}) }()
	device := records.next(t, "listening").Address
	ops := "http://" + records.next(t, "operator's HTTP").Address

	conn, err := net.Dial("tcp", device)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	token := issuer.Token()
	if _, err := io.WriteString(conn, "AUTH "+token+"\nping\nHello World!\n"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	wantLine := func(prefix string) {
		t.Helper()
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), prefix) {
			t.Fatalf("line %q, want %q", lines.Text(), prefix)
		}
	}
	wantLine("OK AUTH v=1 sub=" + authtest.Subject + " ")
	wantLine("pong")
	wantLine("from server: Hello World!")

	get(t, ops+"/healthz", http.StatusOK)
	get(t, ops+"/readyz", http.StatusOK)

	rewrite(t, file+"log: {level: loud}\n")
	signals.send(syscall.SIGHUP)
	if got, want := records.next(t, "configuration not reloaded").Error,
		`linegate.yaml:9: log.level: want one of debug, info, warn, error, got "loud"`; got != want {
		t.Errorf("logged %s, want %s", got, want)
	}
	if got := metric(t, ops, "linegate_config_last_reload_successful"); got != 0 {
		t.Errorf("the reload was successful: %v", got)
	}
	rewrite(t, file+"log: {level: debug}\n")
	signals.send(syscall.SIGHUP)
	records.next(t, "configuration reloaded")
	if got := metric(t, ops, "linegate_config_last_reload_successful"); got != 1 {
		t.Errorf("the reload was successful: %v", got)
	}

	signals.send(syscall.SIGTERM)
	wantLine("NOTICE draining ")
	wantLine("BYE draining ")
	if got := <-status; got != exitOK {
		t.Errorf("exit status %d", got)
	}
}

func TestAnAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var stderr strings.Builder
	p := &program{stdout: io.Discard, stderr: &stderr, notify: signals{}.notify, open: openApp}
	args := "serve --listen " + taken.Addr().String() + issuerFlags
	if status := p.run(t.Context(), strings.Fields(args)); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
	if got := stderr.String(); !strings.HasPrefix(got, "linegate: ") || !strings.Contains(got, "address already in use") {
		t.Error(got)
	}
}
