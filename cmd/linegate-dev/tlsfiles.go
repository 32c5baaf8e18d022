package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// tlsFiles are the gateway's certificate and the authority that a client must
// trust to accept it, as PEM files in a directory of their own.
type tlsFiles struct {
	dir  string
	ca   string
	cert string
	key  string
}

// newTLSFiles makes an authority and a certificate for localhost, 127.0.0.1,
// ::1 and the host of address. The authority's key is forgotten at once, and
// its certificate is good for this machine's own names only: nobody need fear
// a CA file that was trusted and left lying about.
func newTLSFiles(address string) (*tlsFiles, error) {
	files, err := makeTLSFiles(address)
	if err != nil {
		return nil, fmt.Errorf("making certificates for TLS: %w", err)
	}
	return files, nil
}

// Remove deletes the files.
func (f *tlsFiles) Remove() { _ = os.RemoveAll(f.dir) }

// certificateLifetime is longer than anybody leaves this program running.
const certificateLifetime = 30 * 24 * time.Hour

func makeTLSFiles(address string) (*tlsFiles, error) {
	names, ips := []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if host, _, err := net.SplitHostPort(address); err == nil {
		if ip := net.ParseIP(host); ip != nil && !slices.ContainsFunc(ips, ip.Equal) {
			ips = append(ips, ip)
		}
	}
	notBefore := time.Now().Add(-time.Minute)
	authority := &x509.Certificate{
		Subject:                     pkix.Name{CommonName: "linegate development authority"},
		NotBefore:                   notBefore,
		NotAfter:                    notBefore.Add(certificateLifetime),
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true, // no authority below it
		KeyUsage:                    x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	server := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "linegate-dev"},
		NotBefore:             notBefore,
		NotAfter:              notBefore.Add(certificateLifetime),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              names,
		IPAddresses:           ips,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authorityDER, err := sign(authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return nil, err
	}
	serverDER, err := sign(server, authority, &serverKey.PublicKey, authorityKey)
	if err != nil {
		return nil, err
	}
	serverKeyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return nil, err
	}

	dir, err := os.MkdirTemp("", "linegate-dev-") // readable by this user only
	if err != nil {
		return nil, err
	}
	files := &tlsFiles{
		dir:  dir,
		ca:   filepath.Join(dir, "ca.pem"),
		cert: filepath.Join(dir, "tls.crt"),
		key:  filepath.Join(dir, "tls.key"),
	}
	for _, file := range []struct {
		path, kind string
		der        []byte
	}{
		{files.ca, "CERTIFICATE", authorityDER},
		{files.cert, "CERTIFICATE", serverDER},
		{files.key, "PRIVATE KEY", serverKeyDER},
	} {
		text := pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.der})
		if err := os.WriteFile(file.path, text, 0o600); err != nil {
			files.Remove()
			return nil, err
		}
	}
	return files, nil
}

// sign returns a certificate with a fresh serial number.
func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	return x509.CreateCertificate(rand.Reader, template, parent, public, key)
}
