package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// checkFiles loads the files that the configuration names, as serving will.
func (c *Config) checkFiles() error {
	for i, l := range c.Listen {
		if l.TLS == nil {
			continue
		}
		if err := c.checkKeyPair(child(element("listen", i), "tls"), l.TLS.Cert, l.TLS.Key, l.TLS.ClientCA); err != nil {
			return err
		}
	}
	if t := c.Admin.TLS; c.Admin.Address != "" && t.Cert != "" {
		if err := c.checkKeyPair("admin.tls", t.Cert, t.Key, t.ClientCA); err != nil {
			return err
		}
	}
	for i, issuer := range c.Issuers {
		if err := c.checkCA(child(element("issuers", i), "jwks.ca_file"), issuer.JWKS.CAFile); err != nil {
			return err
		}
	}
	return c.checkStateDir()
}

func (c *Config) checkKeyPair(key, certFile, keyFile, caFile string) error {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return c.refuse(child(key, "cert"), "%w", err)
	}
	private, err := os.ReadFile(keyFile)
	if err != nil {
		return c.refuse(child(key, "key"), "%w", err)
	}
	if _, err := tls.X509KeyPair(cert, private); err != nil {
		return c.refuse(child(key, "cert"), "%s with key %s: %w", certFile, keyFile, err)
	}
	return c.checkCA(child(key, "client_ca"), caFile)
}

func (c *Config) checkCA(key, path string) error {
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		err = errors.New(path + ": no certificate in it (PEM)")
	}
	if err != nil {
		return c.refuse(key, "%w", err)
	}
	return nil
}

// checkStateDir wants a directory that this process can write to, or make. What
// is in it is the gateway's to judge, which may be using it.
func (c *Config) checkStateDir() error {
	if c.StateDir == "" {
		return nil
	}
	dir := c.StateDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir = filepath.Dir(dir) // the gateway makes it
	case err == nil && info.IsDir() && info.Mode().Perm()&0o022 != 0 && runtime.GOOS != "windows":
		return c.refuse("state_dir", "%s: others could put keys into it: chmod 700 it, or name a directory below it", dir)
	}
	probe, err := os.CreateTemp(dir, ".check-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if failed, ok := errors.AsType[*os.PathError](err); ok {
		err = failed.Err // the probe's name tells nobody anything
	}
	if err != nil {
		return c.refuse("state_dir", "%s: %w", dir, err)
	}
	return nil
}
