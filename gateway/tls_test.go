package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a certificate authority with files that a listener can use.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.renew(t)
	return a
}

// renew makes another authority, in the same place.
func (a *authority) renew(t testing.TB) {
	t.Helper()
	a.cert, a.key = nil, nil
	a.cert, a.key, _ = a.issue(t, "authority")
	a.write(t, "ca.pem", "CERTIFICATE", a.cert.Raw)
	leaf, key, _ := a.issue(t, "localhost")
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "tls.crt", "CERTIFICATE", leaf.Raw)
	a.write(t, "tls.key", "PRIVATE KEY", der)
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(t testing.TB, name, kind string, der []byte) {
	t.Helper()
	content := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(a.path(name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue signs a certificate for name; the first is the authority's own.
func (a *authority) issue(t testing.TB, name string) (*x509.Certificate, *ecdsa.PrivateKey, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, IsCA: a.cert == nil, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-100 * 365 * 24 * time.Hour), // synctest's clock starts in 2000
		NotAfter:  time.Now().Add(time.Hour),
	}
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) config() TLSConfig {
	return TLSConfig{CertFile: a.path("tls.crt"), KeyFile: a.path("tls.key")}
}

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func newTestTLS(t testing.TB) *TLS {
	t.Helper()
	secure, err := NewTLS(newAuthority(t).config())
	if err != nil {
		t.Fatal(err)
	}
	return secure
}

// TestTLSFiles names what is wrong with them, and keeps the good ones.
func TestTLSFiles(t *testing.T) {
	a := newAuthority(t)
	for _, tt := range []struct {
		name  string
		spoil func(*TLSConfig)
		want  string
	}{
		{"no certificate", func(c *TLSConfig) { c.CertFile = a.path("none") }, "none: no such file"},
		{"no key", func(c *TLSConfig) { c.KeyFile = a.path("none") }, "none: no such file"},
		{"key for certificate", func(c *TLSConfig) { c.KeyFile = c.CertFile }, "tls.crt: "},
		{"another's key", func(c *TLSConfig) { c.KeyFile = newAuthority(t).path("tls.key") }, "private key does not match"},
		{"no client authority", func(c *TLSConfig) { c.ClientCAFile = c.KeyFile }, "tls.key: no certificates in PEM form"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := a.config()
			tt.spoil(&cfg)
			if _, err := NewTLS(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	secure, err := NewTLS(a.config())
	if err != nil {
		t.Fatal(err)
	}
	before := secure.Config()
	if err := os.WriteFile(a.path("tls.crt"), []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secure.Reload(); err == nil || secure.Config() != before {
		t.Errorf("reload of a bad file: %v, changed: %t", err, secure.Config() != before)
	}
	a.renew(t)
	if changed, err := secure.Reload(); err != nil || !changed || secure.Config() == before {
		t.Errorf("reload of a good file: %v, %v", changed, err)
	}
	if changed, err := secure.Reload(); err != nil || changed {
		t.Errorf("reload of the same file: %v, %v", changed, err)
	}
}

// TestTLSVersionsAndClients: TLS 1.2 at least, and client certificates where
// they are asked for.
func TestTLSVersionsAndClients(t *testing.T) {
	a := newAuthority(t)
	_, _, device := a.issue(t, "device")
	_, _, stranger := newAuthority(t).issue(t, "device")
	for _, tt := range []struct {
		name     string
		client   *tls.Config
		required bool
		wantIn   bool
	}{
		{"TLS 1.3", &tls.Config{MinVersion: tls.VersionTLS13}, false, true},
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, false, true},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false, false},
		{"certificate required and none", &tls.Config{}, true, false},
		{"certificate required and given", &tls.Config{Certificates: []tls.Certificate{device}}, true, true},
		{"certificate of a stranger", &tls.Config{Certificates: []tls.Certificate{stranger}}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := a.config()
			if tt.required {
				cfg.ClientCAFile, cfg.ClientAuth = a.path("ca.pem"), tls.RequireAndVerifyClientCert
			}
			secure, err := NewTLS(cfg)
			if err != nil {
				t.Fatal(err)
			}
			f := start(t, Config{}, secure)
			tt.client.RootCAs, tt.client.ServerName = a.roots(), "localhost"
			raw, err := net.Dial("tcp", f.listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			nc := tls.Client(raw, tt.client)
			_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(nc, "in\n")
			// Under TLS 1.3 the client hears of a refusal when it reads.
			buf := make([]byte, len("welcome\n"))
			_, err = io.ReadFull(nc, buf)
			if in := err == nil; in != tt.wantIn {
				t.Errorf("let in: %t (%v)", in, err)
			}
		})
	}
}
