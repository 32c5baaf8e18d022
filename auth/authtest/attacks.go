package authtest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/mint"
)

// Attack is a token as somebody might send it, and what must come of it.
type Attack struct {
	Group, Name string
	Token       string
	Client      *tls.Certificate // the client certificate of the connection; nil: none

	Outcome auth.Outcome
	Claim   string // the claim or header member at fault
	// What the operator is told besides; both empty where the header could
	// not be read.
	IssuerName string // of the configured issuer that the token names
	KeyID      string // kid as the token has it
}

// MaxAuthLine is the session.max_auth_line of a gateway under attack, which lets
// all but the longest tokens come to the verifier.
const MaxAuthLine = 64 << 10

// String names the attack for a test's output.
func (a Attack) String() string { return a.Group + ": " + a.Name }

// Attacks is the table of attack tokens, together with what they attack: three
// issuers, whose configurations a gateway must have, all of them, and whose
// keys it must know. Each group has a token that is accepted, or whoever
// refuses everything would pass.
type Attacks struct {
	Rows []Attack
	// Now is when the rows are as they say: the clocks of whoever judges
	// them must stand still there.
	Now time.Time
	// Good is a token that is accepted then, of the subject of all rows that do
	// not say otherwise.
	Good string
	// Clients issues the client certificates.
	Clients *certtest.Authority

	t      testing.TB
	main   *Issuer // of access tokens by RFC 9068
	loose  *Issuer // of tokens whose typ is JWT or absent
	twin   *Issuer // as main, and one of its keys has the id of main's
	trap   *trap
	device *tls.Certificate // the client's own
	other  *tls.Certificate // another client's

	// main's keys beside the one that signs.
	rsa          *rsa.PrivateKey
	rs256, ps256 *mint.Key // both of it
	es384, ed    *mint.Key
	weak         *mint.Key // published, and too short to be used
	encrypting   *mint.Key // published, and not for signatures

	namesake *mint.Key // twin's, with the id of the one that signs for main
	stranger *mint.Key // published nowhere
}

// NewAttacks returns the table, against issuers that newIssuer makes: New or
// Serve.
func NewAttacks(t testing.TB, newIssuer func(testing.TB, ...Option) *Issuer) *Attacks {
	t.Helper()
	a := &Attacks{
		t: t, Now: time.Now().Truncate(time.Second), trap: newTrap(t), Clients: certtest.New(t),
		main:  newIssuer(t, Named("main")),
		loose: newIssuer(t, Named("loose")),
		twin:  newIssuer(t, Named("twin")),
	}
	device, other := a.Clients.Issue("device"), a.Clients.Issue("other")
	a.device, a.other = &device, &other
	a.makeKeys()
	a.Good = a.main.Token()
	for _, group := range []struct {
		name   string
		rows   []row
		client *tls.Certificate
	}{
		{"bytes", a.bytes(), nil},
		{"structure", a.structure(), nil},
		{"JSON", a.members(), nil},
		{"nesting", a.nesting(), nil},

		{"alg none", a.unsigned(), nil},
		{"HMAC with what is public", a.hmacs(), nil},
		{"alg and key", a.misfits(), nil},
		{"key in the token", a.ownKeys(), nil},
		{"kid", a.keyIDs(), nil},
		{"two issuers, one kid", a.namesakes(), nil},
		{"crit", a.critical(), nil},

		{"signature", a.signatures(), nil},
		{"ECDSA", a.ecdsa(), nil},
		{"RSA PKCS #1", a.pkcs1(), nil},
		{"RSA PSS", a.pss(), nil},
		{"EdDSA", a.eddsa(), nil},

		{"exp", a.expiries(), nil},
		{"nbf and iat", a.beginnings(), nil},
		{"iss", a.issuers(), nil},
		{"kind of token", a.kinds(), nil},
		{"kind of token, types JWT and none", a.looseKinds(), nil},
		{"aud", a.audiences(), nil},
		{"names", a.names(), nil},
		{"scope", a.scopes(), nil},

		{"bound, no certificate", a.unproven(), nil},
		{"bound, client with a certificate", a.bound(), a.device},
	} {
		for _, r := range group.rows {
			a.add(group.name, r, group.client)
		}
	}
	return a
}

// row is an attack as the tables of the groups write it.
type row struct {
	name    string
	token   string
	outcome auth.Outcome
	claim   string
}

func (a *Attacks) add(group string, r row, client *tls.Certificate) {
	attack := Attack{
		Group: group, Name: r.name, Token: r.token, Client: client, Outcome: r.outcome, Claim: r.claim,
	}
	if r.outcome != auth.Format && (r.outcome != auth.Claims || r.claim != "kid") {
		parts := strings.Split(r.token, ".")
		attack.KeyID, _ = a.read(parts[0])["kid"].(string)
		url := a.read(parts[1])["iss"]
		for _, iss := range a.Issuers() {
			if url == iss.URL {
				attack.IssuerName = iss.Name
			}
		}
	}
	a.Rows = append(a.Rows, attack)
}

// read decodes a header or payload that is as it should be.
func (a *Attacks) read(part string) (members map[string]any) {
	doc, err := base64.RawURLEncoding.DecodeString(part)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(doc))
		decoder.UseNumber() // no float64 has room for all of them
		err = decoder.Decode(&members)
	}
	if err != nil {
		a.t.Fatalf("authtest: attack: %v", err)
	}
	return members
}

// makeKeys publishes main's keys, and those of its that must not be used.
func (a *Attacks) makeKeys() {
	a.rsa = a.newRSA(2048)
	a.rs256, a.ps256 = mint.FromSigner("RS256", "rsa", a.rsa), mint.FromSigner("PS256", "pss", a.rsa)
	a.es384, a.ed = a.newKey("ES384", "p384"), a.newKey("EdDSA", "ed")
	a.weak = mint.FromSigner("RS256", "weak", a.newRSA(1024))
	a.encrypting = a.newKey("ES256", "encrypting")
	a.namesake = a.newKey("ES256", a.main.SigningKey().ID)
	a.stranger = a.newKey("ES256", "stranger")
	for _, key := range []*mint.Key{a.rs256, a.ps256, a.es384, a.ed, a.weak} {
		a.main.PublishJWK(key.JWK(nil))
	}
	a.main.PublishJWK(a.rs256.JWK(map[string]any{"kid": "cube", "e": "Aw"})) // e is 3
	a.main.PublishJWK(a.encrypting.JWK(map[string]any{"use": "enc"}))
	a.main.PublishJWK(map[string]any{"kty": "oct", "kid": "secret", "alg": "HS256", "k": encode([]byte(sharedSecret))})
	a.twin.PublishJWK(a.namesake.JWK(nil))
}

const sharedSecret = "a secret that an issuer published by mistake"

func (a *Attacks) newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *Attacks) newKey(algorithm, id string) *mint.Key {
	key, err := mint.NewKey(algorithm, id)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// Issuers returns the attacked issuers.
func (a *Attacks) Issuers() []*Issuer { return []*Issuer{a.main, a.loose, a.twin} }

// Configs returns the configurations that the rows count on.
func (a *Attacks) Configs() []auth.IssuerConfig {
	main, loose, twin := a.main.Config(), a.loose.Config(), a.twin.Config()
	main.Algorithms = []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"}
	loose.TokenTypes = []string{"JWT", "none"}
	return []auth.IssuerConfig{main, loose, twin}
}

// Visits returns how many connections were made to the address that tokens
// name as the place of their key, or as their issuer.
func (a *Attacks) Visits() int {
	a.t.Helper()
	return a.trap.count()
}

// trap is a listener that nobody has reason to connect to.
type trap struct {
	net.Listener
	t      testing.TB
	visits chan int // what the accept loop has counted
}

func newTrap(t testing.TB) *trap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr := &trap{Listener: ln, t: t, visits: make(chan int, 1)}
	tr.visits <- 0
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			tr.visits <- 1 + <-tr.visits
			nc.Close()
		}
	}()
	t.Cleanup(func() { ln.Close() })
	return tr
}

// url is an address at the trap.
func (tr *trap) url(path string) string { return "http://" + tr.Addr().String() + path }

// count makes a visit of its own: when that is counted, so are all before it.
func (tr *trap) count() int {
	tr.t.Helper()
	nc, err := net.Dial("tcp", tr.Addr().String())
	if err != nil {
		tr.t.Fatal(err)
	}
	defer nc.Close()
	_, _ = nc.Read(make([]byte, 1)) // until it is closed, thus counted
	visits := <-tr.visits - 1
	tr.visits <- visits
	return visits
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
