package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
)

// checkFiles loads the files that the configuration names, as serving will.
func (c *Config) checkFiles() error {
	for i, l := range c.Listen {
		if l.TLS == nil {
			continue
		}
		if err := c.checkKeyPair(child(element("listen", i), "tls"), l.TLS); err != nil {
			return err
		}
	}
	for i, issuer := range c.Issuers {
		if err := c.checkCA(child(element("issuers", i), "jwks.ca_file"), issuer.JWKS.CAFile); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkKeyPair(key string, t *TLS) error {
	cert, err := os.ReadFile(t.Cert)
	if err != nil {
		return c.refuse(child(key, "cert"), "%w", err)
	}
	private, err := os.ReadFile(t.Key)
	if err != nil {
		return c.refuse(child(key, "key"), "%w", err)
	}
	if _, err := tls.X509KeyPair(cert, private); err != nil {
		return c.refuse(child(key, "cert"), "%s with key %s: %w", t.Cert, t.Key, err)
	}
	return c.checkCA(child(key, "client_ca"), t.ClientCA)
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
