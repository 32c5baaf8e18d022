package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
)

func TestTLSFiles(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	files, err := newTLSFiles("127.0.0.7:8886")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		files.dir: "drwx------", files.ca: "-rw-------", files.cert: "-rw-------", files.key: "-rw-------",
	} {
		if info, err := os.Stat(path); err != nil || info.Mode().String() != want {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}

	authority, err := os.ReadFile(files.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) || strings.Contains(string(authority), "PRIVATE") {
		t.Fatalf("%s holds other than certificates", files.ca)
	}
	pair, err := tls.LoadX509KeyPair(files.cert, files.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "::1": true, "127.0.0.7": true,
		"127.0.0.2": false, "example.com": false,
	} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name})
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}

	files.Remove()
	if _, err := os.Stat(files.dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", files.dir, err)
	}
}

// TestAuthorityIsForThisMachine: whoever trusts the CA file does not trust it
// for the names of others.
func TestAuthorityIsForThisMachine(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	files, err := newTLSFiles("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer files.Remove()
	text, err := os.ReadFile(files.ca)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !authority.PermittedDNSDomainsCritical || len(authority.PermittedDNSDomains) != 1 ||
		authority.PermittedDNSDomains[0] != "localhost" || len(authority.PermittedIPRanges) != 2 {
		t.Errorf("good for %v %v", authority.PermittedDNSDomains, authority.PermittedIPRanges)
	}
	for _, ip := range authority.PermittedIPRanges {
		if !ip.IP.IsLoopback() {
			t.Errorf("good for %v", ip)
		}
	}
}

func TestTLSFilesWithoutDirectory(t *testing.T) {
	t.Setenv("TMPDIR", "/nonexistent")
	if _, err := newTLSFiles("127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("%v", err)
	}
}
