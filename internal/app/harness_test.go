package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/logtest"
	"github.com/linegate/linegate/internal/mint"
	"github.com/linegate/linegate/internal/oplog"
)

// running is a gateway on ports of its own, plain and TLS, that trusts a real
// issuer.
type running struct {
	*App
	t      testing.TB
	issuer *authtest.Issuer
	cfg    *config.Config
	log    *logtest.Log
	certs  *certtest.Authority
	stop   func() error // drains, and returns what Run did
}

// start starts a gateway; change has the last word on its configuration.
func start(t testing.TB, change func(*config.Config)) *running {
	t.Helper()
	return startWith(t, change, func(*Options) {})
}

// startWith also has options changed.
func startWith(t testing.TB, change func(*config.Config), options func(*Options)) *running {
	t.Helper()
	r := &running{t: t, issuer: authtest.Serve(t), log: new(logtest.Log)}
	r.certs = certtest.New(t)

	trusted := config.NewIssuer()
	trusted.Name = "main"
	trusted.Issuer = r.issuer.URL
	trusted.Audience = r.issuer.Config().Audience
	trusted.RequiredScopes = r.issuer.Config().RequiredScopes
	plain, secure := config.NewListener("127.0.0.1:0"), config.NewListener("127.0.0.1:0")
	plain.Name, secure.Name = "plain", "tls"
	secure.TLS = &config.TLS{Cert: r.certs.Cert, Key: r.certs.Key}
	r.cfg = config.Default()
	r.cfg.Issuers = []config.Issuer{trusted}
	r.cfg.Listen = []config.Listener{plain, secure}
	r.cfg.Ops.Address = "127.0.0.1:0"
	r.cfg.Drain.Timeout = 0
	if change != nil {
		change(r.cfg)
	}
	level := new(slog.LevelVar)
	level.Set(slog.LevelDebug)
	log, err := oplog.New(r.log, level, "json")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Log: log, LogLevel: level, Version: "test"}
	options(&o)
	if r.App, err = New(r.cfg, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

// withSecond has a second issuer trusted, as the first one is.
func withSecond(t testing.TB, c *config.Config) *authtest.Issuer {
	t.Helper()
	second := authtest.Serve(t, authtest.Named("second"))
	trusted := c.Issuers[0]
	trusted.Name, trusted.Issuer = second.Name, second.URL
	c.Issuers = append(c.Issuers, trusted)
	return second
}

// Reload puts another configuration into force.
func (r *running) Reload(next *config.Config) error {
	return r.App.Reload(func() (*config.Config, error) { return next, nil })
}

// waitReady waits until the issuer's keys are there.
func (r *running) waitReady() {
	r.t.Helper()
	r.waitFor("ready", func() bool { status, _ := r.get("/readyz"); return status == http.StatusOK })
}

// waitFor polls what no event tells.
func (r *running) waitFor(what string, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("not %s in 20 s\n%s", what, r.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *running) get(path string) (status int, body string) {
	r.t.Helper()
	// A connection of its own each time, so that none is left to count.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + r.OpsAddr().String() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// metric returns the sum of a metric's series whose line holds all of labels.
func (r *running) metric(name string, labels ...string) (sum float64) {
	r.t.Helper()
	_, body := r.get("/metrics")
	return metricOf(r.t, body, name, labels...)
}

func metricOf(t testing.TB, body, name string, labels ...string) (sum float64) {
	t.Helper()
	found := false
lines:
	for line := range strings.Lines(body) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(series, "{"); base != name {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(series, l) {
				continue lines
			}
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		sum += n
		found = true
	}
	if !found {
		t.Fatalf("no series %s %v", name, labels)
	}
	return sum
}

// dial connects as a device; secure is over TLS.
func (r *running) dial(secure bool) *device {
	r.t.Helper()
	return r.dialAs(nil, secure)
}

// dialAs connects as a device with a certificate, or with none.
func (r *running) dialAs(client *tls.Certificate, secure bool) *device {
	r.t.Helper()
	if secure {
		cfg := r.tlsConfig()
		if client != nil {
			cfg.Certificates = []tls.Certificate{*client}
		}
		return r.dialTLS("tls", cfg)
	}
	nc, err := net.Dial("tcp", r.Addr("plain").String())
	return r.device(nc, err)
}

// tlsConfig is what a client needs to trust the gateway.
func (r *running) tlsConfig() *tls.Config {
	return &tls.Config{RootCAs: r.certs.Roots(), ServerName: "localhost"}
}

func (r *running) dialTLS(listener string, cfg *tls.Config) *device {
	r.t.Helper()
	nc, err := tls.Dial("tcp", r.Addr(listener).String(), cfg)
	return r.device(nc, err)
}

func (r *running) device(nc net.Conn, err error) *device {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	r.t.Cleanup(func() { nc.Close() })
	return &device{Conn: nc, t: r.t, in: bufio.NewReader(nc)}
}

// login connects and authenticates.
func (r *running) login(secure bool) *device {
	r.t.Helper()
	d := r.dial(secure)
	d.say("AUTH " + r.issuer.Token())
	d.expect("OK AUTH v=1 ")
	return d
}

// device is a client that talks in whole lines.
type device struct {
	net.Conn
	t       testing.TB
	in      *bufio.Reader
	session string // its id, with loginWith
}

func (d *device) say(line string) {
	d.t.Helper()
	if _, err := io.WriteString(d, line+"\n"); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) expect(prefix string) string {
	d.t.Helper()
	line, err := d.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		d.t.Fatalf("got %q, %v; want %q...", line, err, prefix)
	}
	return line
}

func (d *device) expectEnd() {
	d.t.Helper()
	if rest, err := io.ReadAll(d.in); err != nil || len(rest) > 0 {
		d.t.Fatalf("instead of the end: %q, %v", rest, err)
	}
}

func forBoth(t *testing.T, test func(t *testing.T, secure bool)) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%t", secure), func(t *testing.T) { test(t, secure) })
	}
}

// forger holds a key that no issuer publishes.
var forger = func() *mint.Key {
	key, err := mint.NewKey("ES256", "forger")
	if err != nil {
		panic(err)
	}
	return key
}()
