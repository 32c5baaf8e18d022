package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/certtest"
)

// TestResumption: a TLS session is resumed as long as the files are the same, and
// no longer when they are others: who comes then is judged by what is in force.
func TestResumption(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before tls.ClientAuthType // what is asked of a client, at first
		change func(*changing)
		in     bool // afterwards
	}{
		{"other client authorities", tls.RequireAndVerifyClientCert, func(c *changing) { c.authority() }, false},
		{"other client authorities, optional", tls.VerifyClientCertIfGiven, func(c *changing) { c.authority() }, false},
		{"other client authorities in the same file", tls.RequireAndVerifyClientCert, func(c *changing) { c.replace(c.clients.CA, c.others.CA) }, false},
		{"one more client authority", tls.RequireAndVerifyClientCert, func(c *changing) { c.add(c.clients.CA, c.others.CA) }, true},
		{"client certificates required from now on", tls.NoClientCert, func(c *changing) { c.auth(tls.RequireAndVerifyClientCert) }, false},
		{"required, no longer optional", tls.VerifyClientCertIfGiven, func(c *changing) { c.auth(tls.RequireAndVerifyClientCert) }, true},
		{"another certificate", tls.RequireAndVerifyClientCert, func(c *changing) { c.renew() }, true},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tt.name+"/"+tls.VersionName(version), func(t *testing.T) {
				c := newChanging(t, tt.before, version)
				for visit, want := range []bool{false, true, true} {
					if resumed, err := c.visit(); err != nil || resumed != want {
						t.Fatalf("visit %d: resumed %t, %v", visit, resumed, err)
					}
				}
				tt.change(c)
				if resumed, err := c.visit(); resumed || (err == nil) != tt.in {
					t.Errorf("afterwards: resumed %t, %v", resumed, err)
				}
			})
		}
	}
}

// changing is a listener whose TLS changes, and a client that keeps its tickets.
type changing struct {
	t               *testing.T
	secure          *TLS
	cfg             TLSConfig
	server          *certtest.Authority
	clients, others *certtest.Authority
	address         string
	client          *tls.Config
}

func newChanging(t *testing.T, auth tls.ClientAuthType, version uint16) *changing {
	c := &changing{t: t, server: certtest.New(t), clients: certtest.New(t), others: certtest.New(t)}
	c.cfg = tlsFiles(c.server)
	c.cfg.ClientAuth = auth
	c.client = &tls.Config{
		RootCAs: c.server.Roots(), ServerName: "localhost", MinVersion: version, MaxVersion: version,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	if auth != tls.NoClientCert {
		c.cfg.ClientCAFile = c.clients.CA
		device := c.clients.Issue("device")
		c.client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &device, nil }
	}
	var err error
	if c.secure, err = NewTLS(c.cfg); err != nil {
		t.Fatal(err)
	}
	c.address = start(t, Config{}, c.secure).listener.Addr().String()
	return c
}

// visit connects, is served, and tells whether the TLS session was resumed.
func (c *changing) visit() (resumed bool, err error) {
	raw, err := net.Dial("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	conn := tls.Client(raw, c.client)
	if _, err := io.WriteString(conn, "in\n"); err != nil {
		return false, err
	}
	// Under TLS 1.3 tickets come, and a refusal is heard of, with what is read.
	if _, err := io.ReadFull(conn, make([]byte, len("welcome\n"))); err != nil {
		return conn.ConnectionState().DidResume, fmt.Errorf("reading: %w", err)
	}
	return conn.ConnectionState().DidResume, nil
}

// use is what a reload of the configuration does.
func (c *changing) use() {
	c.t.Helper()
	loaded, err := NewTLS(c.cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.secure.Use(loaded)
}

func (c *changing) authority() {
	c.cfg.ClientCAFile = c.others.CA
	c.use()
}

func (c *changing) auth(auth tls.ClientAuthType) {
	c.cfg.ClientCAFile, c.cfg.ClientAuth = c.clients.CA, auth
	c.use()
}

// replace and add change a file, which is noticed without a reload.
func (c *changing) replace(name, by string) { c.write(name, c.read(by)) }

func (c *changing) add(name, more string) { c.write(name, append(c.read(name), c.read(more)...)) }

// renew has the server show another certificate, which the client trusts as well.
func (c *changing) renew() {
	c.server.Renew()
	c.client.RootCAs = c.server.Roots()
	c.notice()
}

func (c *changing) read(name string) []byte {
	c.t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

func (c *changing) write(name string, text []byte) {
	c.t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.notice()
}

func (c *changing) notice() {
	c.t.Helper()
	if changed, err := c.secure.Reload(); err != nil || !changed {
		c.t.Fatalf("changed %t, %v", changed, err)
	}
}
