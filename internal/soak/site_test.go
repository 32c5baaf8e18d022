//go:build soak

package soak

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/chaos"
	"github.com/linegate/linegate/internal/mint"
)

// site is a gateway with all that is around it: an issuer that clients have
// tokens of, one that operators have, certificates, and bad networks.
type site struct {
	*oracle
	*deeds
	t       testing.TB
	seed    uint64
	gateway *gateway

	issuer      *authtest.Issuer // of devices; rotates, and fails
	staff       *authtest.Issuer // of operators; does neither
	unpublished *mint.Key        // of nobody
	toIssuer    *chaos.Proxy
	networks    map[door]*chaos.Proxy // bad ones
	certs       *certtest.Authority
	clientCert  tls.Certificate // what clients have at the certified door
	dir         string

	dialled atomic.Int64 // connections that were made to the gateway directly
	minted  atomic.Int64

	mu     sync.Mutex
	random *rand.Rand // of the faults of connections
	quiet  bool       // the way to the issuer is good
	keys   []*mint.Key
	tokens map[string]*token // the last of each subject
	shown  []*token          // all of this round
	live   map[*dialogue]bool
	opens  string // the operator's token, since opened
	opened time.Time
	pair   int // number of the certificate in use
}

func newSite(t testing.TB, seed uint64) *site {
	s := &site{
		oracle: new(oracle), deeds: newDeeds(), t: t, seed: seed,
		issuer: authtest.Serve(t, authtest.Named("main")), staff: authtest.Serve(t, authtest.Named("staff")),
		certs: certtest.New(t), dir: t.TempDir(),
		random: random(seed, "faults"), quiet: true, tokens: map[string]*token{}, live: map[*dialogue]bool{},
	}
	s.clientCert = s.certs.Issue("device")
	s.keys, s.unpublished = []*mint.Key{s.issuer.SigningKey()}, s.issuer.NewKey()
	s.toIssuer = s.proxy(strings.TrimPrefix(s.issuer.URL, "http://"), s.issuerFaults)
	s.newPair()
	s.gateway = startGateway(t, s.oracle, s.configuration(random(seed, "start"), "info")) // which tells the places
	s.networks = map[door]*chaos.Proxy{}
	for _, d := range doors {
		s.networks[d] = s.proxy(s.gateway.log.place(string(d)), func() chaos.Faults { return s.faults(d.tls()) })
	}
	return s
}

// random returns a source of random numbers of its own for each purpose.
func random(seed uint64, purpose string) *rand.Rand {
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, purpose)
	return rand.New(rand.NewPCG(seed, hash.Sum64()))
}

func (s *site) proxy(target string, choose func() chaos.Faults) *chaos.Proxy {
	p, err := chaos.Listen(target, choose)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { p.Close() })
	return p
}

// drainTimeout is short: who drains a gateway is not what this is about.
const drainTimeout = 2 * time.Second

// perSubject is how many sessions a subject may have.
const perSubject = 4

// longestIdle is the most that idle_timeout is; write_timeout is shorter.
const longestIdle = 12 * time.Second

// configuration is one of many, none of which is to be noticed by who is
// connected. What listens, and what is trusted, is the same in all.
//
// The times are long, so that a machine that is starved for seconds looks like
// nothing else: a device gives a gateway up that says nothing for idle_timeout.
func (s *site) configuration(r *rand.Rand, level string) string {
	return fmt.Sprintf(`listen:
  - {name: plain, address: "127.0.0.1:0"}
  - {name: tls, address: "127.0.0.1:0", tls: {cert: %[1]q, key: %[2]q}}
  - {name: certified, address: "127.0.0.1:0", tls: {cert: %[1]q, key: %[2]q, client_ca: %[3]q, client_auth: require}}
  - {name: balanced, address: "127.0.0.1:0", proxy_protocol: {trusted: [127.0.0.1/32]}}
ops: {address: "127.0.0.1:0", pprof: true}
admin: {address: "127.0.0.1:0", issuers: [staff]}
state_dir: %[4]q
`, s.file("crt"), s.file("key"), s.certs.CA, filepath.Join(s.dir, "state")) +
		fmt.Sprintf(`session: {handshake_timeout: 10s, auth_timeout: %v, idle_timeout: %v, write_timeout: %ds, reauth_notice: %ds, lines_per_second: %d}
limits: {connections: %d, unauthenticated: %d, sessions_per_subject: %d, on_excess: replace}
drain: {timeout: %v}
log: {level: %s}
`, authTimeout, longestIdle-time.Duration(r.IntN(3))*time.Second, 6+r.IntN(3), 1+r.IntN(5), r.IntN(3)*300,
			900+r.IntN(200), 300+r.IntN(100), perSubject, drainTimeout, level) +
		fmt.Sprintf(`issuers:
  - name: main
    issuer: %q
    jwks_uri: "http://%s%s"
    audience: [%[4]s]
    required_scopes: [%[5]q]
    jwks: {refresh_interval: %[6]ds, cooldown: %[7]dms, timeout: 1s, removal_grace: %[8]ds}
  - {name: staff, issuer: %[9]q, audience: [%[4]s], required_scopes: [%[5]q]}
`, s.issuer.URL, s.toIssuer.Addr(), authtest.JWKSPath, authtest.Audience, authtest.Scope,
			1+r.IntN(3), 200+r.IntN(300), 2+r.IntN(3), s.staff.URL)
}

func (s *site) file(kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return filepath.Join(s.dir, strconv.Itoa(s.pair)+"."+kind)
}

// newPair writes a certificate and its key into files of their own, so that a
// reload finds both or neither.
func (s *site) newPair() {
	issued := s.certs.Issue("localhost")
	key, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	s.pair = (s.pair + 1) % 4
	s.mu.Unlock()
	write := func(kind, block string, der []byte) {
		content := pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
		if err := os.WriteFile(s.file(kind), content, 0o600); err != nil {
			s.t.Error(err)
		}
	}
	write("crt", "CERTIFICATE", issued.Certificate[0])
	write("key", "PRIVATE KEY", key)
}

// token is one of subject that lives for so long: the last one, if that is
// still good for half of it.
func (s *site) token(r *rand.Rand, subject string, life time.Duration) *token {
	s.mu.Lock()
	old := s.tokens[subject]
	s.mu.Unlock()
	if old != nil && r.IntN(2) == 0 && time.Until(old.expires) > life/2 && !s.refusable(old, time.Now()) {
		return old
	}
	t := s.newToken(subject, life)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[subject] = t
	return t
}

func (s *site) newToken(subject string, life time.Duration, changes ...authtest.Change) *token {
	key := s.issuer.SigningKey()
	t := &token{
		subject: subject, id: "soak-" + strconv.FormatInt(s.minted.Add(1), 10), key: key.ID,
		issued: time.Now().Truncate(time.Second), expires: time.Now().Add(life).Truncate(time.Second),
	}
	all := []authtest.Change{
		authtest.SignedBy(key), authtest.Sub(subject), authtest.Claim("jti", t.id),
		authtest.Claim("iat", t.issued.Unix()), authtest.Claim("exp", t.expires.Unix()),
	}
	t.text = s.issuer.Token(append(all, changes...)...)
	if len(changes) == 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.shown = append(s.shown, t)
	}
	return t
}

// operator is a token that opens the admin API; the same for half of its life, or
// as many would be remembered as there are requests.
func (s *site) operator() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.opened) > authtest.Lifetime/2 {
		s.opens, s.opened = s.staff.Token(authtest.Claim("scope", "linegate:admin")), time.Now()
	}
	return s.opens
}

// track has d among those that kicks and revocations may meet.
func (s *site) track(d *dialogue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[d] = true
}

func (s *site) untrack(d *dialogue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, d)
}

// dialogues returns those of now, by name.
func (s *site) dialogues() []*dialogue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Keys(s.live), func(a, b *dialogue) int { return strings.Compare(a.name, b.name) })
}
