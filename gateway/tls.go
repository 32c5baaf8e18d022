package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// TLSConfig names the files of a listener's TLS.
type TLSConfig struct {
	CertFile, KeyFile string // PEM; the chain, the leaf first
	ClientCAFile      string // PEM; empty: no client certificates
	ClientAuth        tls.ClientAuthType
}

// TLS is a listener's TLS, version 1.2 or later, whose files can change while
// it is in use. Connections that are there keep what they were made with.
type TLS struct {
	current atomic.Pointer[tls.Config]

	mu     sync.Mutex
	cfg    TLSConfig
	loaded [][]byte // the files' content behind current
}

// NewTLS loads the files.
func NewTLS(cfg TLSConfig) (*TLS, error) {
	t := &TLS{cfg: cfg}
	if _, err := t.Reload(); err != nil {
		return nil, err
	}
	return t, nil
}

// Config returns what the next handshake uses. Each loaded set of files has
// session ticket keys of its own: a session is not resumed under a client
// authority that did not see it.
func (t *TLS) Config() *tls.Config { return t.current.Load() }

// NotAfter returns when the certificate expires.
func (t *TLS) NotAfter() time.Time { return t.Config().Certificates[0].Leaf.NotAfter }

// Reload reads the files again and tells whether anything changed. On an error
// the files loaded before stay in use.
func (t *TLS) Reload() (changed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	files, err := t.read()
	if err != nil {
		return false, err
	}
	if slices.EqualFunc(files, t.loaded, bytes.Equal) {
		return false, nil
	}
	cfg, err := t.build(files)
	if err != nil {
		return false, err
	}
	t.loaded = files
	t.current.Store(cfg)
	return true, nil
}

// Use takes over what other has loaded, unless it is what is in use already.
func (t *TLS) Use(other *TLS) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cfg == other.cfg && slices.EqualFunc(t.loaded, other.loaded, bytes.Equal) {
		return
	}
	t.cfg, t.loaded = other.cfg, other.loaded
	t.current.Store(other.Config())
}

// Watch reloads the files when they change, looking every interval, until ctx
// is done.
func (t *TLS) Watch(ctx context.Context, interval time.Duration, log *slog.Logger) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch changed, err := t.Reload(); {
		case err == nil:
			failed = ""
			if changed {
				log.Info("certificate reloaded", slog.Time("not_after", t.NotAfter()))
			}
		case err.Error() != failed: // once a fault, not once a look
			failed = err.Error()
			log.Error("certificate not reloaded", slog.Any("error", err))
		}
	}
}

func (t *TLS) read() (files [][]byte, err error) {
	for _, name := range []string{t.cfg.CertFile, t.cfg.KeyFile, t.cfg.ClientCAFile} {
		var content []byte
		if name != "" {
			if content, err = os.ReadFile(name); err != nil {
				return nil, err
			}
		}
		files = append(files, content)
	}
	return files, nil
}

func (t *TLS) build(files [][]byte) (*tls.Config, error) {
	certificate, err := tls.X509KeyPair(files[0], files[1])
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", t.cfg.CertFile, t.cfg.KeyFile, err)
	}
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   t.cfg.ClientAuth,
	}
	if t.cfg.ClientCAFile != "" {
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(files[2]) {
			return nil, fmt.Errorf("%s: %w", t.cfg.ClientCAFile, errNoCertificates)
		}
	}
	return cfg, nil
}

var errNoCertificates = errors.New("no certificates in PEM form")
