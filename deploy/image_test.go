// Package deploy_test checks what is in deploy/ as far as Go alone can: the
// image's binary is built as the Dockerfile builds it and is given the example
// configurations, and what must agree between two files does.
package deploy_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"debug/elf"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestImage(t *testing.T) {
	binary := buildAsDockerfile(t)

	t.Run("the binary needs nothing beside it", func(t *testing.T) {
		program, err := elf.Open(binary)
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		for _, segment := range program.Progs {
			if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
				t.Errorf("the binary is linked dynamically: it has a segment %v", segment.Type)
			}
		}
	})

	t.Run("the version is the one handed in", func(t *testing.T) {
		if out := run(t, binary, "version"); !strings.Contains(out, "v9.8.7-image") {
			t.Errorf("version says %q, want it to hold v9.8.7-image", out)
		}
	})

	for name, text := range map[string]string{
		"linegate.yaml":            read(t, "linegate.yaml"),
		"kubernetes/linegate.yaml": configMap(t),
	} {
		t.Run("the configuration is accepted: "+name, func(t *testing.T) {
			run(t, binary, "check-config", "--config", installed(t, text))
		})
	}

	t.Run("alerts use metrics that the gateway has", func(t *testing.T) {
		have := scrape(t, binary)
		for _, name := range alertMetrics(t) {
			if !strings.Contains(have, "\n"+name+"{") && !strings.Contains(have, "\n"+name+" ") {
				t.Errorf("/metrics has no series %s", name)
			}
		}
	})
}

// buildAsDockerfile runs the Dockerfile's own build command and returns the
// binary's path.
func buildAsDockerfile(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*) -o /linegate (.*)$`).FindStringSubmatch(read(t, "Dockerfile"))
	if found == nil {
		t.Fatal("the Dockerfile has no line that builds the binary")
	}
	binary := filepath.Join(t.TempDir(), "linegate")
	build := exec.Command("sh", "-c", found[1]+` -o "$OUT" `+found[2])
	build.Dir = ".."
	build.Env = append(os.Environ(), "GOOS=linux", "VERSION=v9.8.7-image", "OUT="+binary)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", found[0], err, out)
	}
	return binary
}

// run returns what the program says, and fails the test unless it succeeds and
// has nothing to warn of.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env = []string{}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("linegate %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// installed writes a configuration and the certificate that it names to a
// directory that stands for /etc/linegate, and returns the file's path.
func installed(t *testing.T, text string) string {
	t.Helper()
	etc := t.TempDir()
	if !strings.Contains(text, "/etc/linegate/tls/tls.key") {
		t.Fatal("the configuration names no key under /etc/linegate")
	}
	writeCertificate(t, filepath.Join(etc, "tls"))
	file := filepath.Join(etc, "linegate.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/etc/linegate", etc)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// writeCertificate makes a self-signed certificate, tls.crt and tls.key in dir.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "gateway.example.com"},
		DNSNames:     []string{"gateway.example.com"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: cert},
		"tls.key": {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
