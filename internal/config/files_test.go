package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/effective.yaml anew")

// The effective configuration: what the file, the environment and the flags
// say, all defaults, and where each key that was set comes from.
func TestEffective(t *testing.T) {
	golden, err := filepath.Abs("testdata/effective.yaml")
	if err != nil {
		t.Fatal(err)
	}
	everything, err := os.ReadFile("testdata/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, string(everything))
	writeKeyPair(t, "tls")
	c, _, err := Load(Options{
		Path:    path,
		Environ: []string{"LINEGATE_DRAIN_DELAY=3s"},
		Flags:   map[string][]string{"log-format": {"text"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from testdata/effective.yaml:\n%s", got)
	}

	// It is a file that gives the same configuration again.
	if err := os.WriteFile(path, got, 0o600); err != nil {
		t.Fatal(err)
	}
	again, _, err := Load(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	again.origins = c.origins
	if !reflect.DeepEqual(again, c) {
		back, _ := again.YAML()
		t.Errorf("read back, it is another:\n%s", back)
	}
}

// Files that the configuration names are loaded before anything is served.
func TestNamedFiles(t *testing.T) {
	const listener = minimal + `listen:
  - tls:
      cert: CERT
      key: KEY
      client_ca: CA
`
	for _, test := range []struct{ name, cert, key, ca, want string }{
		{"good", "a.crt", "a.key", "b.crt", ""},
		{"no certificate", "c.crt", "a.key", "b.crt", "linegate.yaml:7: listen[0].tls.cert: open c.crt: no such file or directory"},
		{"no key", "a.crt", "c.key", "b.crt", "linegate.yaml:8: listen[0].tls.key: open c.key: no such file or directory"},
		{"another's key", "a.crt", "b.key", "b.crt", "linegate.yaml:7: listen[0].tls.cert: a.crt with key b.key: tls: private key does not match public key"},
		{"no authority", "a.crt", "a.key", "c.crt", "linegate.yaml:9: listen[0].tls.client_ca: open c.crt: no such file or directory"},
		{"key for an authority", "a.crt", "a.key", "a.key", "linegate.yaml:9: listen[0].tls.client_ca: a.key: no certificate in it (PEM)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := []byte(listener)
			for from, to := range map[string]string{"CERT": test.cert, "KEY": test.key, "CA": test.ca} {
				text = bytes.ReplaceAll(text, []byte(from), []byte(to))
			}
			o := Options{Path: write(t, string(text))}
			writeKeyPair(t, "a")
			writeKeyPair(t, "b")
			if test.want != "" {
				wantError(t, o, test.want)
				return
			}
			c, _, err := Load(o)
			if err != nil {
				t.Fatal(err)
			}
			want := Listener{
				Name: "127.0.0.1:8886", Address: "127.0.0.1:8886",
				TLS: &TLS{Cert: "a.crt", Key: "a.key", ClientCA: "b.crt", ClientAuth: "require"},
			}
			if !reflect.DeepEqual(c.Listen, []Listener{want}) {
				t.Errorf("listener %+v", c.Listen)
			}
		})
	}
}

func TestCAFileOfAnIssuer(t *testing.T) {
	wantError(t, Options{Path: write(t, minimal+"    jwks:\n      ca_file: ca.pem\n")},
		"linegate.yaml:6: issuers[0].jwks.ca_file: open ca.pem: no such file or directory")
}

// The admin API's files are loaded too, when there is one.
func TestFilesOfTheAdminAPI(t *testing.T) {
	const off = minimal + "admin:\n  tls: {cert: a.crt, key: a.key, client_ca: ca.pem}\n"
	for _, test := range []struct{ name, file, want string }{
		{"off", off, ""},
		{"on", off + "  address: 127.0.0.1:9886\n  issuers: [login.example.com]\n", "linegate.yaml:6: admin.tls.client_ca: open ca.pem: no such file or directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := Options{Path: write(t, test.file)}
			writeKeyPair(t, "a")
			if test.want != "" {
				wantError(t, o, test.want)
			} else if _, _, err := Load(o); err != nil {
				t.Error(err)
			}
		})
	}
}

// The directory can be written to, or made; nothing is left of the check.
func TestStateDir(t *testing.T) {
	path := write(t, minimal+"state_dir: a/state\n")
	wantError(t, Options{Path: path}, "linegate.yaml:5: state_dir: a: no such file or directory")
	if err := os.Mkdir("a", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("a/state", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, Options{Path: path}, "linegate.yaml:5: state_dir: a/state: not a directory")
	if err := os.Remove("a/state"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"a", "a/state"} { // missing, and there
		if _, _, err := Load(Options{Path: path}); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind in %s: %v %v", dir, left, err)
		}
		if err := os.Mkdir("a/state", 0o700); err != nil && dir == "a" {
			t.Fatal(err)
		}
	}
	if err := os.Chmod("a/state", 0o770); err != nil {
		t.Fatal(err)
	}
	wantError(t, Options{Path: path}, "linegate.yaml:5: state_dir: a/state: others could put keys into it: chmod 700 it, or name a directory below it")
}

// writeKeyPair writes a self-signed certificate to name.crt, its key to
// name.key.
func writeKeyPair(t *testing.T, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".crt": {Type: "CERTIFICATE", Bytes: cert},
		name + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
