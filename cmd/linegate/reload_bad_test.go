package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
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
	limited := func(connections int) string {
		return configuration(issuer, twoPorts(certs), fmt.Sprintf("limits: {connections: %d}", connections), "drain: {timeout: 0s}")
	}
	other := limited(5)
	with := func(old, new string) string { return strings.Replace(other, old, new, 1) }
	inDir(t, limited(1000))
	p := startProgram(t).ready()
	session := p.loggedIn(issuer.Token())

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
		{"no certificate", with(certs.Cert, "nowhere.crt"), "nowhere.crt"},
		{"another's certificate", with(certs.Cert, strange.Cert), "private key does not match"},
		{"no authorities for the key set", with("audience:", "jwks: {ca_file: nowhere.pem}, audience:"), "nowhere.pem"},
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
			if ok, limit := p.metric("linegate_config_last_reload_successful"), p.metric("linegate_connections_limit"); ok != 0 || limit != 1000 {
				t.Errorf("successful: %v, connections: %v", ok, limit)
			}
			p.live(session)
			p.loggedIn(issuer.Token())
		})
	}

	// An address is not even tried; the rest applies.
	rewrite(t, strings.Replace(limited(1001), "devices, address: '127.0.0.1:0'", "devices, address: '"+taken.Addr().String()+"'", 1))
	if said := p.reload("configuration reloaded"); len(said) != 1 || !strings.Contains(said[0], `"key":"listen"`) {
		t.Errorf("logged %q", said)
	}
	if ok, limit := p.metric("linegate_config_last_reload_successful"), p.metric("linegate_connections_limit"); ok != 1 || limit != 1001 {
		t.Errorf("successful: %v, connections: %v", ok, limit)
	}
	p.live(session, p.loggedIn(issuer.Token()))
	p.end(syscall.SIGTERM, exitOK)
}

// reload sends SIGHUP and returns the warnings and errors until the record that
// tells how it went.
func (p *process) reload(last string) (faults []string) {
	p.t.Helper()
	p.signal(syscall.SIGHUP)
	for line := range p.records {
		var r record
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
