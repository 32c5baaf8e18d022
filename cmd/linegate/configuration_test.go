package main

import (
	"os"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
)

// issuerFlags are enough to serve without a file.
const issuerFlags = " --issuer https://login.example.com --audience linegate --scope line:connect"

const goodFile = `issuers:
  - issuer: https://login.example.com
    audience: [linegate]
    required_scopes: [line:connect]
`

// onePort is a listener on a port of its own.
const onePort = "listen: [{name: devices, address: '127.0.0.1:0'}]"

// twoPorts are that and another with TLS.
func twoPorts(certs *certtest.Authority) string {
	return `listen:
  - {name: devices, address: '127.0.0.1:0'}
  - {name: secure, address: '127.0.0.1:0', tls: {cert: '` + certs.Cert + `', key: '` + certs.Key + `'}}`
}

// configuration has operators and admin API on ports of their own, trusts the
// issuer, and has these sections besides. It ends with the list of issuers.
func configuration(issuer *authtest.Issuer, sections ...string) string {
	return `ops: {address: '127.0.0.1:0'}
admin: {address: '127.0.0.1:0', issuers: [main]}
` + strings.Join(sections, "\n") + `
issuers:
` + issuerRow("main", issuer, "")
}

// issuerRow is an issuer in a configuration, on one line.
func issuerRow(name string, issuer *authtest.Issuer, more string) string {
	return "  - {name: " + name + ", issuer: '" + issuer.URL + "', " + more +
		"audience: [" + authtest.Audience + "], required_scopes: ['" + authtest.Scope + "']}\n"
}

// inDir works in a new directory with text as linegate.yaml.
func inDir(t *testing.T, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	rewrite(t, text)
}

func rewrite(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile("linegate.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
