package gateway

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/certtest"
)

func tlsFiles(a *certtest.Authority) TLSConfig {
	return TLSConfig{CertFile: a.Cert, KeyFile: a.Key}
}

func newTestTLS(t testing.TB) *TLS {
	t.Helper()
	secure, err := NewTLS(tlsFiles(certtest.New(t)))
	if err != nil {
		t.Fatal(err)
	}
	return secure
}

// TestTLSFiles names what is wrong with them, and keeps the good ones.
func TestTLSFiles(t *testing.T) {
	a := certtest.New(t)
	for _, tt := range []struct {
		name  string
		spoil func(*TLSConfig)
		want  string
	}{
		{"no certificate", func(c *TLSConfig) { c.CertFile = "nowhere/none" }, "none: no such file"},
		{"no key", func(c *TLSConfig) { c.KeyFile = "nowhere/none" }, "none: no such file"},
		{"key for certificate", func(c *TLSConfig) { c.KeyFile = c.CertFile }, "tls.crt: "},
		{"another's key", func(c *TLSConfig) { c.KeyFile = certtest.New(t).Key }, "private key does not match"},
		{"no client authority", func(c *TLSConfig) { c.ClientCAFile = c.KeyFile }, "tls.key: no certificates in PEM form"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tlsFiles(a)
			tt.spoil(&cfg)
			if _, err := NewTLS(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	secure, err := NewTLS(tlsFiles(a))
	if err != nil {
		t.Fatal(err)
	}
	before := secure.Config()
	if err := os.WriteFile(a.Cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secure.Reload(); err == nil || secure.Config() != before {
		t.Errorf("reload of a bad file: %v, changed: %t", err, secure.Config() != before)
	}
	a.Renew()
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
	a := certtest.New(t)
	device := a.Issue("device")
	stranger := certtest.New(t).Issue("device")
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
			cfg := tlsFiles(a)
			if tt.required {
				cfg.ClientCAFile, cfg.ClientAuth = a.CA, tls.RequireAndVerifyClientCert
			}
			secure, err := NewTLS(cfg)
			if err != nil {
				t.Fatal(err)
			}
			f := start(t, Config{}, secure)
			tt.client.RootCAs, tt.client.ServerName = a.Roots(), "localhost"
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

// TestTLSFilesSwapped: files that are replaced by rename, one by one, or all at once
// behind a link as Kubernetes mounts them, are taken up when they fit together.
func TestTLSFilesSwapped(t *testing.T) {
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, version := range []string{"v1", "v2", "v3"} {
		a := certtest.New(t)
		do(os.Mkdir(in(version), 0o700))
		do(os.Rename(a.Cert, in(version+"/tls.crt")))
		do(os.Rename(a.Key, in(version+"/tls.key")))
	}
	do(os.Symlink("v1", in("data")))
	do(os.Symlink("data/tls.crt", in("tls.crt")))
	do(os.Symlink("data/tls.key", in("tls.key")))
	secure, err := NewTLS(TLSConfig{CertFile: in("tls.crt"), KeyFile: in("tls.key")})
	do(err)
	want := func(version string) {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(in(version+"/tls.crt"), in(version+"/tls.key"))
		do(err)
		if !bytes.Equal(secure.Config().Certificates[0].Certificate[0], pair.Certificate[0]) {
			t.Errorf("not the certificate of %s", version)
		}
	}
	want("v1")

	do(os.Symlink("v2", in("data.new")))
	do(os.Rename(in("data.new"), in("data")))
	if changed, err := secure.Reload(); err != nil || !changed {
		t.Errorf("behind a link: changed %t, %v", changed, err)
	}
	want("v2")

	copied := func(name string) {
		text, err := os.ReadFile(in("v3/" + name))
		do(err)
		do(os.WriteFile(in("new"), text, 0o600))
		do(os.Rename(in("new"), in(name)))
	}
	copied("tls.crt")
	if changed, err := secure.Reload(); err == nil || changed {
		t.Errorf("between two renames: changed %t, %v", changed, err)
	}
	want("v2")
	copied("tls.key")
	if changed, err := secure.Reload(); err != nil || !changed {
		t.Errorf("behind both: changed %t, %v", changed, err)
	}
	want("v3")
}
