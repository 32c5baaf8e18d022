// Package certtest makes certificates for tests.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority with the files of a server that it
// vouches for. Its methods end the test when something fails.
type Authority struct {
	// CA, Cert and Key are PEM files: the authority's certificate, and the
	// server's with its key, good for localhost, 127.0.0.1 and ::1.
	CA, Cert, Key string

	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority and its files, which live as long as the test.
func New(t testing.TB) *Authority {
	t.Helper()
	dir := t.TempDir()
	a := &Authority{
		CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"),
		t: t,
	}
	a.Renew()
	return a
}

// Renew replaces the authority, and the files' content, by new ones.
func (a *Authority) Renew() {
	a.t.Helper()
	a.cert, a.key = nil, nil
	own := a.Issue("authority")
	a.cert, a.key = own.Leaf, own.PrivateKey.(*ecdsa.PrivateKey)
	a.write(a.CA, "CERTIFICATE", a.cert.Raw)
	server := a.Issue("localhost")
	a.write(a.Cert, "CERTIFICATE", server.Certificate[0])
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(a.Key, "PRIVATE KEY", key)
}

// Issue makes a certificate for name, for a client or a server.
func (a *Authority) Issue(name string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		IsCA: a.cert == nil, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), // the clock of testing/synctest starts in 2000
		NotAfter:  time.Now().Add(time.Hour),
	}
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Configs are a server's that is called localhost, and its clients'.
func (a *Authority) Configs() (server, client *tls.Config) {
	a.t.Helper()
	server = &tls.Config{Certificates: []tls.Certificate{a.Issue("localhost")}}
	return server, &tls.Config{RootCAs: a.Roots(), ServerName: "localhost"}
}

// Own is the authority's own certificate, which nobody else vouches for.
func (a *Authority) Own() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key, Leaf: a.cert}
}

// Roots trusts the authority as it is now.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *Authority) write(name, kind string, der []byte) {
	a.t.Helper()
	content := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(name, content, 0o600); err != nil {
		a.t.Fatal(err)
	}
}
