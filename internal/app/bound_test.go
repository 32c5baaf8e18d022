package app

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/config"
)

// mutual is a gateway whose listeners want a client certificate ("tls"), would
// like one ("optional"), never ask for one ("anonymous"), and have no TLS
// ("plain"); and a client that has one.
type mutual struct {
	*running
	clients *certtest.Authority
	device  tls.Certificate
}

func startMutual(t *testing.T) *mutual {
	t.Helper()
	clients := certtest.New(t)
	m := &mutual{clients: clients, device: clients.Issue("device")}
	m.running = start(t, func(c *config.Config) {
		files := *c.Listen[1].TLS
		add := func(name string, secure config.TLS) {
			l := config.NewListener("127.0.0.1:0")
			l.Name, l.TLS = name, &secure
			c.Listen = append(c.Listen, l)
		}
		add("anonymous", files)
		files.ClientCA, files.ClientAuth = clients.CA, "optional"
		add("optional", files)
		c.Listen[1].TLS.ClientCA, c.Listen[1].TLS.ClientAuth = clients.CA, "require"
	})
	m.waitReady()
	return m
}

// bound is a token for whoever has a certificate (RFC 8705 section 3.1).
func (m *mutual) bound(to tls.Certificate) string {
	digest := sha256.Sum256(to.Certificate[0])
	return m.issuer.Token(authtest.Claim("cnf", map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(digest[:])}))
}

// dialWith connects with certificates, or none.
func (m *mutual) dialWith(listener string, version uint16, shown ...tls.Certificate) *device {
	m.t.Helper()
	if listener == "plain" {
		return m.dial(false)
	}
	cfg := m.tlsConfig()
	cfg.MinVersion, cfg.MaxVersion, cfg.Certificates = version, version, shown
	return m.dialTLS(listener, cfg)
}

func (m *mutual) refusedForBinding(kind string) float64 {
	m.t.Helper()
	return m.metric("linegate_auth_attempts_total", `kind="`+kind+`"`, `outcome="binding"`)
}

var tlsVersions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// TestBoundToken: a token opens a session where its client has shown the
// certificate that it is bound to, and nowhere else.
func TestBoundToken(t *testing.T) {
	m := startMutual(t)
	other := m.clients.Issue("other")
	withOthers := m.device // a chain as a client may send it, though it holds one key only
	withOthers.Certificate = append(withOthers.Certificate[:1:1], other.Certificate[0])
	none := []tls.Certificate(nil)
	for _, tt := range []struct {
		name     string
		listener string
		shown    []tls.Certificate
		token    string
		in       bool
	}{
		{"its own, required", "tls", []tls.Certificate{m.device}, m.bound(m.device), true},
		{"its own, optional", "optional", []tls.Certificate{m.device}, m.bound(m.device), true},
		{"another's, required", "tls", []tls.Certificate{other}, m.bound(m.device), false},
		{"another's, optional", "optional", []tls.Certificate{other}, m.bound(m.device), false},
		{"its own, self-signed and in client_ca", "tls", []tls.Certificate{m.clients.Own()}, m.bound(m.clients.Own()), true},
		{"its own, and another's behind it", "tls", []tls.Certificate{withOthers}, m.bound(m.device), true},
		{"its own, and behind it the one", "tls", []tls.Certificate{withOthers}, m.bound(other), false},
		{"none, optional", "optional", none, m.bound(m.device), false},
		{"nobody asks", "anonymous", []tls.Certificate{m.device}, m.bound(m.device), false},
		{"no TLS", "plain", none, m.bound(m.device), false},
		{"its own, a token that is not bound", "tls", []tls.Certificate{m.device}, m.issuer.Token(), true},
		{"none, a token that is not bound", "optional", none, m.issuer.Token(), true},
	} {
		for version, number := range tlsVersions {
			t.Run(tt.name+", "+version, func(t *testing.T) {
				m := m.in(t)
				before := m.refusedForBinding("login")
				d := m.dialWith(tt.listener, number, tt.shown...)
				d.say("AUTH " + tt.token)
				if tt.in {
					d.expect("OK AUTH v=1 ")
					return
				}
				d.expect("BYE invalid_token action=reauth :")
				d.expectEnd()
				if n := m.refusedForBinding("login") - before; n != 1 {
					t.Errorf("%v refused for their binding, want 1", n)
				}
			})
		}
	}
}

// TestNoSessionWithoutRequiredCertificate: where a certificate is required,
// nobody gets to say a word without, however good the token.
func TestNoSessionWithoutRequiredCertificate(t *testing.T) {
	m := startMutual(t)
	for name, shown := range map[string][]tls.Certificate{
		"none":                           nil,
		"a stranger's":                   {certtest.New(t).Issue("device")},
		"by the gateway's own authority": {m.certs.Issue("device")},
	} {
		for version, number := range tlsVersions {
			t.Run(name+", "+version, func(t *testing.T) {
				cfg := m.tlsConfig()
				cfg.MinVersion, cfg.MaxVersion, cfg.Certificates = number, number, shown
				nc, err := tls.Dial("tcp", m.Addr("tls").String(), cfg)
				if err == nil { // by TLS 1.3 the client hears of it when it reads
					defer nc.Close()
					say(nc, "AUTH "+m.issuer.Token()+"\n")
					_, err = nc.Read(make([]byte, 1))
				}
				if err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
					t.Errorf("error %v", err)
				}
			})
		}
	}
	if n := m.metric("linegate_auth_attempts_total"); n != 0 {
		t.Errorf("%v attempts", n)
	}
}

// TestBoundRenewal: a session is renewed by a token that is bound to the
// certificate of its connection. One bound to another changes nothing.
func TestBoundRenewal(t *testing.T) {
	m := startMutual(t)
	other := m.clients.Issue("other")
	for _, tt := range []struct {
		name, first, next string
		shown             []tls.Certificate
		renewed           bool
	}{
		{"bound as before", m.bound(m.device), m.bound(m.device), []tls.Certificate{m.device}, true},
		{"bound now", m.issuer.Token(), m.bound(m.device), []tls.Certificate{m.device}, true},
		{"bound no longer", m.bound(m.device), m.issuer.Token(), []tls.Certificate{m.device}, true},
		{"bound to another", m.bound(m.device), m.bound(other), []tls.Certificate{m.device}, false},
		{"bound, and the connection has none", m.issuer.Token(), m.bound(m.device), nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := m.in(t)
			before := m.refusedForBinding("renewal")
			d := m.dialWith("optional", tls.VersionTLS13, tt.shown...)
			d.say("AUTH " + tt.first)
			d.expect("OK AUTH v=1 ")
			d.say("AUTH " + tt.next)
			if tt.renewed {
				d.expect("OK AUTH v=1 ")
			} else {
				d.expect("ERR invalid_token for=auth action=reauth\n")
				if n := m.refusedForBinding("renewal") - before; n != 1 {
					t.Errorf("%v refused for their binding, want 1", n)
				}
			}
			d.say("still here")
			d.expect("from server: still here\n")
		})
	}
}

// TestBoundTokenResumed: a TLS session that is resumed has the certificate of
// the first one, though none crosses the network again.
func TestBoundTokenResumed(t *testing.T) {
	m := startMutual(t)
	other := m.clients.Issue("other")
	for version, number := range tlsVersions {
		for _, listener := range []string{"tls", "optional"} {
			t.Run(version+", "+listener, func(t *testing.T) {
				m := m.in(t)
				cfg := m.tlsConfig()
				cfg.MinVersion, cfg.MaxVersion, cfg.Certificates = number, number, []tls.Certificate{m.device}
				cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				first := m.dialTLS(listener, cfg)
				first.say("AUTH " + m.bound(m.device))
				first.expect("OK AUTH v=1 ") // and the ticket, with TLS 1.3
				for token, reply := range map[string]string{
					m.bound(m.device): "OK AUTH v=1 ",
					m.bound(other):    "BYE invalid_token action=reauth :",
				} {
					d := m.dialTLS(listener, cfg)
					d.say("AUTH " + token)
					d.expect(reply)
					if !d.Conn.(*tls.Conn).ConnectionState().DidResume {
						t.Error("not resumed")
					}
				}
			})
		}
	}
}

// in has failures reported by t.
func (m *mutual) in(t *testing.T) *mutual {
	r := *m.running
	r.t = t
	return &mutual{running: &r, clients: m.clients, device: m.device}
}
