// Package config is the gateway's configuration: its types and defaults, how
// it is read from flags, environment and file, and what of it is refused.
package config

import (
	"time"
)

// Config is the whole configuration. The yaml tags are the keys of the file;
// min, max and oneof bound the value of a key, both ends included. Load gives
// one that was checked, and Default one to build on in code.
type Config struct {
	Listen   []Listener `yaml:"listen"`
	Ops      Ops        `yaml:"ops"`
	Admin    Admin      `yaml:"admin"`
	Issuers  []Issuer   `yaml:"issuers"`
	Session  Session    `yaml:"session"`
	Limits   Limits     `yaml:"limits"`
	Backend  Backend    `yaml:"backend"`
	Drain    Drain      `yaml:"drain"`
	StateDir string     `yaml:"state_dir"` // empty: memory only
	Log      Log        `yaml:"log"`
	origins  origins    // where each key was set that was
}

// Listener is one address that devices connect to.
type Listener struct {
	Name              string         `yaml:"name"`    // label in metrics; default: Address
	Address           string         `yaml:"address"` // host:port; default: 127.0.0.1:8885, with TLS 127.0.0.1:8886
	InsecurePlaintext bool           `yaml:"insecure_plaintext"`
	TLS               *TLS           `yaml:"tls"`            // nil: plain TCP
	ProxyProtocol     *ProxyProtocol `yaml:"proxy_protocol"` // nil: no PROXY header is expected
}

// TLS names PEM files, relative to the working directory.
type TLS struct {
	Cert       string `yaml:"cert"`
	Key        string `yaml:"key"`
	ClientCA   string `yaml:"client_ca"`                            // empty: no client certificate is asked for
	ClientAuth string `yaml:"client_auth" oneof:"require optional"` // empty without ClientCA
}

// ProxyProtocol says from whom a PROXY header is expected.
type ProxyProtocol struct {
	Trusted []string `yaml:"trusted"` // CIDR prefixes of the TCP peer, as ParsePrefix wants them
}

// Ops is the operator's HTTP.
type Ops struct {
	Address string `yaml:"address"`
	Pprof   bool   `yaml:"pprof"` // on a loopback address only
}

// Admin is the admin API.
type Admin struct {
	Address  string   `yaml:"address"` // empty: off
	TLS      AdminTLS `yaml:"tls"`
	Issuers  []string `yaml:"issuers"`  // names; empty: nobody gets in
	Audience []string `yaml:"audience"` // empty: the issuer's own
	Scopes   []string `yaml:"scopes"`   // all must be present
}

// AdminTLS names the admin API's PEM files. Cert empty: HTTP in clear, on
// loopback only. With ClientCA, clients must have a certificate.
type AdminTLS struct {
	Cert     string `yaml:"cert"`
	Key      string `yaml:"key"`
	ClientCA string `yaml:"client_ca"`
}

// Issuer is an authorization server whose tokens are accepted, and what is
// asked of them.
type Issuer struct {
	Name           string              `yaml:"name"`   // label in metrics; default: the host of Issuer
	Issuer         string              `yaml:"issuer"` // compared byte for byte with iss
	Required       bool                `yaml:"required"`
	JWKSURI        string              `yaml:"jwks_uri"` // empty: discovered (RFC 8414, OpenID Connect)
	Audience       []string            `yaml:"audience"`
	AudienceClaim  string              `yaml:"audience_claim" oneof:"aud client_id azp"`
	Algorithms     []string            `yaml:"algorithms"`  // JWA names (RFC 7518, 8037, 9864)
	TokenTypes     []string            `yaml:"token_types"` // at+jwt, JWT, none; so spelled after Load
	RequiredClaims map[string][]string `yaml:"required_claims"`
	RequiredScopes []string            `yaml:"required_scopes"`
	AnyScope       bool                `yaml:"any_scope"`
	ScopeClaims    []string            `yaml:"scope_claims"`
	SubjectClaim   string              `yaml:"subject_claim"`
	ClientIDClaims []string            `yaml:"client_id_claims"`
	TokenIDClaims  []string            `yaml:"token_id_claims"`
	Leeway         time.Duration       `yaml:"leeway" min:"0s" max:"60s"` // for nbf and iat; exp is strict
	MaxLifetime    time.Duration       `yaml:"max_lifetime" min:"1s" max:"8760h"`
	JWKS           JWKS                `yaml:"jwks"`
	InsecureHTTP   bool                `yaml:"insecure_http"`
}

// JWKS says how an issuer's key set is fetched.
type JWKS struct {
	RefreshInterval time.Duration `yaml:"refresh_interval" min:"1s" max:"24h"`
	Cooldown        time.Duration `yaml:"cooldown" min:"100ms" max:"5m"` // between two fetches for an unknown kid
	MaxStale        time.Duration `yaml:"max_stale" min:"1s" max:"8760h"`
	RemovalGrace    time.Duration `yaml:"removal_grace" min:"0s"`       // for sessions whose key left the set
	Timeout         time.Duration `yaml:"timeout" min:"100ms" max:"1m"` // of one fetch
	CAFile          string        `yaml:"ca_file"`                      // PEM; empty: the system's
}

// Session bounds one connection: deadlines, and sizes in bytes.
type Session struct {
	HandshakeTimeout time.Duration `yaml:"handshake_timeout" min:"1ms" max:"1h"`
	AuthTimeout      time.Duration `yaml:"auth_timeout" min:"1ms" max:"1h"`
	IdleTimeout      time.Duration `yaml:"idle_timeout" min:"1ms" max:"24h"`
	WriteTimeout     time.Duration `yaml:"write_timeout" min:"1ms" max:"1h"`
	MaxAuthLine      Size          `yaml:"max_auth_line" min:"256" max:"1MiB"`
	MaxLine          Size          `yaml:"max_line" min:"16" max:"16MiB"`
	MaxOutbound      Size          `yaml:"max_outbound" min:"2KiB" max:"1GiB"`
	ReauthNotice     time.Duration `yaml:"reauth_notice" min:"1ms" max:"24h"`
	LinesPerSecond   int           `yaml:"lines_per_second" min:"0" max:"1000000"` // 0: unlimited
}

// Limits bound the whole process.
type Limits struct {
	Connections        int    `yaml:"connections" min:"0"`              // 0: from the process's file limit
	Unauthenticated    int    `yaml:"unauthenticated" min:"0"`          // 0: a quarter of the connections
	SessionsPerSubject int    `yaml:"sessions_per_subject" min:"0"`     // 0: unlimited
	OnExcess           string `yaml:"on_excess" oneof:"reject replace"` // the new session of a subject, or its oldest
}

// Backend takes the messages.
type Backend struct {
	Kind string `yaml:"kind" oneof:"echo"`
}

// Drain is the orderly end after SIGTERM.
type Drain struct {
	Delay   time.Duration `yaml:"delay" min:"0s" max:"1h"`   // not ready, but still accepting
	Timeout time.Duration `yaml:"timeout" min:"0s" max:"1h"` // then sessions end, spread over this
}

// Log is what is logged, and how.
type Log struct {
	Level  string `yaml:"level" oneof:"debug info warn error"`
	Format string `yaml:"format" oneof:"json text"`
}

// Default returns the configuration of an empty file. It has one listener and
// no issuer, so it is not complete.
func Default() *Config {
	return &Config{
		Listen: []Listener{NewListener("127.0.0.1:8885")},
		Ops:    Ops{Address: "127.0.0.1:9885"},
		Admin:  Admin{Scopes: []string{"linegate:admin"}},
		Session: Session{
			HandshakeTimeout: 10 * time.Second,
			AuthTimeout:      10 * time.Second,
			IdleTimeout:      30 * time.Second,
			WriteTimeout:     10 * time.Second,
			MaxAuthLine:      16 * KiB,
			MaxLine:          8 * KiB,
			MaxOutbound:      256 * KiB,
			ReauthNotice:     30 * time.Second,
		},
		Limits:  Limits{OnExcess: "reject"},
		Backend: Backend{Kind: "echo"},
		Drain:   Drain{Timeout: 25 * time.Second},
		Log:     Log{Level: "info", Format: "json"},
		origins: origins{},
	}
}

// NewListener returns a plain listener with its defaults, named by its
// address.
func NewListener(address string) Listener {
	return Listener{Name: address, Address: address}
}

// NewIssuer returns an issuer with its defaults. Name, Issuer, Audience and
// RequiredScopes (or AnyScope) are left to fill in.
func NewIssuer() Issuer {
	return Issuer{
		AudienceClaim:  "aud",
		Algorithms:     []string{"ES256", "RS256", "EdDSA"},
		TokenTypes:     []string{"at+jwt"},
		ScopeClaims:    []string{"scope", "scp"},
		SubjectClaim:   "sub",
		ClientIDClaims: []string{"client_id", "azp", "appid"},
		TokenIDClaims:  []string{"jti", "uti"},
		Leeway:         30 * time.Second,
		MaxLifetime:    24 * time.Hour,
		JWKS: JWKS{
			RefreshInterval: 5 * time.Minute,
			Cooldown:        3 * time.Second,
			MaxStale:        24 * time.Hour,
			RemovalGrace:    time.Minute,
			Timeout:         5 * time.Second,
		},
	}
}
