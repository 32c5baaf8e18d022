package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
)

// TestBadReloads: whatever is wrong with the files, the process says so in one
// record and goes on as before.
func TestBadReloads(t *testing.T) {
	issuer, certs, strange := authtest.Serve(t), certtest.New(t), certtest.New(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	configuration := func(connections int, address, cert string) string {
		return fmt.Sprint(`ops: {address: '127.0.0.1:0'}
drain: {timeout: 0s}
limits: {connections: `, connections, `}
listen:
  - {name: devices, address: '`, address, `'}
  - {name: secure, address: '127.0.0.1:0', tls: {cert: '`, cert, `', key: '`, certs.Key, `'}}
issuers:
`, issuerRow("main", issuer, ""))
	}
	good := configuration(1000, "127.0.0.1:0", certs.Cert)
	other := configuration(5, "127.0.0.1:0", certs.Cert)
	inDir(t, good)
	p, ops := startReady(t, exec.Command(os.Args[0], "serve", "--config", "linegate.yaml"))
	session := p.login(issuer.Token())
	session.want("OK AUTH ")

	for _, row := range []struct {
		name, text string // no text: no file
		want       string
	}{
		{"broken off", other[:len(other)-20], "linegate.yaml"},
		{"no YAML", "\tlimits: {", "linegate.yaml"},
		{"an unknown key", other + "limit: 7\n", "limit"},
		{"a bad value", other + "log: {level: loud}\n", "log.level: "},
		{"an empty file", " ", "issuers"},
		{"no file", "", "no such file"},
		{"no certificate", configuration(5, "127.0.0.1:0", "nowhere.crt"), "nowhere.crt"},
		{"another's certificate", configuration(5, "127.0.0.1:0", strange.Cert), "private key does not match"},
		{"no authorities for the key set", strings.Replace(other, "audience:", "jwks: {ca_file: nowhere.pem}, audience:", 1), "nowhere.pem"},
	} {
		t.Run(row.name, func(t *testing.T) {
			rewrite(t, row.text)
			if row.text == "" {
				os.Remove("linegate.yaml")
			}
			faults := p.reload("configuration not reloaded")
			if len(faults) != 1 || !strings.Contains(faults[0], row.want) || strings.Contains(faults[0], `\n`) {
				t.Errorf("logged %q, want one record with %q", faults, row.want)
			}
			if ok, limit := metric(t, ops, "linegate_config_last_reload_successful"), metric(t, ops, "linegate_connections_limit"); ok != 0 || limit != 1000 {
				t.Errorf("successful: %v, connections: %v", ok, limit)
			}
			p.live([]*answers{session})
			p.login(issuer.Token()).want("OK AUTH ")
		})
	}

	// An address is not even tried; the rest applies.
	rewrite(t, configuration(1001, taken.Addr().String(), certs.Cert))
	if said := p.reload("configuration reloaded"); len(said) != 1 || !strings.Contains(said[0], `"key":"listen"`) {
		t.Errorf("logged %q", said)
	}
	if ok, limit := metric(t, ops, "linegate_config_last_reload_successful"), metric(t, ops, "linegate_connections_limit"); ok != 1 || limit != 1001 {
		t.Errorf("successful: %v, connections: %v", ok, limit)
	}
	p.live([]*answers{session, p.loggedIn(issuer.Token())})
	p.end(syscall.SIGTERM, exitOK)
}

// loggedIn is a session.
func (p *killable) loggedIn(token string) *answers {
	p.t.Helper()
	s := p.login(token)
	s.want("OK AUTH ")
	return s
}

// reload sends SIGHUP and returns the warnings and errors until the record that
// tells how it went.
func (p *killable) reload(last string) (faults []string) {
	p.t.Helper()
	if err := p.process.Process.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
	for line := range p.records {
		var r struct{ Level, Msg string }
		if err := json.Unmarshal(line, &r); err != nil {
			p.t.Errorf("logged %q", line)
		}
		if r.Level == "WARN" || r.Level == "ERROR" {
			faults = append(faults, string(bytes.TrimSpace(line)))
		}
		if r.Msg == last {
			return faults
		}
	}
	p.t.Fatalf("no record %q", last)
	return nil
}
