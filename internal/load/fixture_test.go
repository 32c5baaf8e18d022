package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/app"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/config"
)

// site is a real gateway, plain and TLS, that trusts a real issuer.
type site struct {
	t      testing.TB
	issuer *authtest.Issuer
	app    *app.App
	certs  *certtest.Authority
}

func newSite(t testing.TB, change func(*config.Config)) *site {
	t.Helper()
	s := &site{t: t, issuer: authtest.Serve(t), certs: certtest.New(t)}
	trusted := config.NewIssuer()
	trusted.Name, trusted.Issuer = "main", s.issuer.URL
	trusted.Audience, trusted.RequiredScopes = s.issuer.Config().Audience, s.issuer.Config().RequiredScopes
	plain, secure := config.NewListener("127.0.0.1:0"), config.NewListener("127.0.0.1:0")
	plain.Name, secure.Name = "plain", "tls"
	secure.TLS = &config.TLS{Cert: s.certs.Cert, Key: s.certs.Key}
	cfg := config.Default()
	cfg.Issuers, cfg.Listen = []config.Issuer{trusted}, []config.Listener{plain, secure}
	cfg.Ops.Address, cfg.Drain.Timeout = "127.0.0.1:0", 0
	if change != nil {
		change(cfg)
	}
	var err error
	s.app, err = app.New(cfg, app.Options{Log: slog.New(slog.DiscardHandler), LogLevel: new(slog.LevelVar), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.app.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("gateway: %v", err)
		}
	})
	return s
}

// tokens returns n different ones.
func (s *site) tokens(n int) []string {
	var all []string
	for i := range n {
		all = append(all, s.issuer.Token(authtest.Sub("device-"+strconv.Itoa(i))))
	}
	return all
}

// to completes a run against the gateway.
func (s *site) to(c Config, secure bool) Config {
	c.Address, c.Source = s.app.Addr("plain").String(), loopback
	if secure {
		c.Address = s.app.Addr("tls").String()
		c.TLS = &tls.Config{RootCAs: s.certs.Roots(), ServerName: "localhost"}
	}
	if c.Tokens == nil {
		c.Tokens = s.tokens(3)
	}
	return c
}

// loopback is where to connect from, where all of it is this machine's.
var loopback = func() netip.Prefix {
	if runtime.GOOS != "linux" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix("127.0.0.0/8")
}()

// do runs c, without failures.
func do(t *testing.T, c Config) *Result {
	t.Helper()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed > 0 || len(r.Errors) > 0 {
		t.Fatal(r.Failures(), r.Errors)
	}
	return r
}

// forBoth runs a test with either driver: epoll has plain TCP where there is
// epoll, and TLS always has goroutines.
func forBoth(t *testing.T, test func(t *testing.T, secure bool)) {
	t.Run("plain", func(t *testing.T) { test(t, false) })
	t.Run("tls", func(t *testing.T) { test(t, true) })
}

// script is a server that answers each line with what answer says, and hangs up
// when that is empty.
func script(t *testing.T, answer func(connection int, line string) string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for n := 0; ; n++ {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(time.Minute))
			open.Go(func() {
				defer nc.Close()
				for in := bufio.NewReader(nc); ; {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					said := answer(n, line)
					if _, err := io.WriteString(nc, said); err != nil || said == "" {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		open.Wait()
	})
	return listener.Addr().String()
}

const okLine = "OK AUTH v=1 sub=d session=s expires_in=300 reauth_in=240 idle_timeout=30 max_line=8192\n"
