package app

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/config"
)

// TestReload: what can change while devices are connected changes, what cannot
// is named, and a bad configuration changes nothing.
func TestReload(t *testing.T) {
	r := start(t, nil)
	r.waitReady()
	d := r.login(true)

	second := authtest.Serve(t, authtest.Named("second"))
	change := func(f func(c *config.Config)) *config.Config {
		next := *r.cfg
		next.Issuers = append([]config.Issuer(nil), r.cfg.Issuers...)
		next.Listen = append([]config.Listener(nil), r.cfg.Listen...)
		f(&next)
		return &next
	}

	t.Run("a bad certificate changes nothing", func(t *testing.T) {
		err := r.Reload(change(func(c *config.Config) {
			c.Limits.Connections = 5
			c.Listen[1].TLS = &config.TLS{Cert: "/nowhere.crt", Key: "/nowhere.key"}
		}))
		if err == nil || !strings.Contains(err.Error(), "listen[1].tls: open /nowhere.crt") {
			t.Fatalf("error %v", err)
		}
		if got := r.metric("linegate_config_last_reload_successful"); got != 0 {
			t.Errorf("last reload successful: %v", got)
		}
		if got := r.metric("linegate_connections_limit"); got == 5 {
			t.Error("the limit changed all the same")
		}
	})

	t.Run("issuers, limits, rules and certificates", func(t *testing.T) {
		r.certs.Renew()
		err := r.Reload(change(func(c *config.Config) {
			extra := c.Issuers[0]
			extra.Name, extra.Issuer = "second", second.URL
			c.Issuers = append(c.Issuers, extra)
			c.Limits.Connections = 100
			c.Session.IdleTimeout = time.Minute
			c.Ops.Address = "127.0.0.1:1"
		}))
		if err != nil {
			t.Fatal(err)
		}
		d.say("ping") // the session lives on
		d.expect("pong\n")
		for _, iss := range []*authtest.Issuer{r.issuer, second} {
			next := r.dial(true)
			next.say("AUTH " + iss.Token())
			if ok := next.expect("OK AUTH "); !strings.Contains(ok, " idle_timeout=60 ") {
				t.Error(ok)
			}
		}
		if got := r.metric("linegate_connections_limit"); got != 100 {
			t.Errorf("limit %v", got)
		}
		if got := r.metric("linegate_config_last_reload_successful"); got != 1 {
			t.Errorf("last reload successful: %v", got)
		}
		if !strings.Contains(r.log.String(), `"key":"ops"`) {
			t.Error("the changed ops.address is not named in the log")
		}
	})

	t.Run("stricter rules hold at the next AUTH", func(t *testing.T) {
		err := r.Reload(change(func(c *config.Config) { c.Issuers[0].RequiredScopes = []string{"line:more"} }))
		if err != nil {
			t.Fatal(err)
		}
		d.lives()
		d.say("AUTH " + r.issuer.Token())
		d.expect("ERR insufficient_scope for=auth action=fix\n")
		d.lives()
		next := r.dial(true)
		next.say("AUTH " + r.issuer.Token())
		next.expect("BYE insufficient_scope ")
	})

	t.Run("an issuer that is gone is refused", func(t *testing.T) {
		if err := r.Reload(change(func(*config.Config) {})); err != nil {
			t.Fatal(err)
		}
		stranger := r.dial(true)
		stranger.say("AUTH " + second.Token())
		stranger.expect("BYE invalid_token ")
	})
}

// TestReloadWhileStarting: a SIGHUP may come at any moment.
func TestReloadWhileStarting(t *testing.T) {
	for range 20 {
		r := start(t, nil) // Run has only just been called
		same := *r.cfg
		if err := r.Reload(&same); err != nil {
			t.Fatal(err)
		}
		r.waitReady()
		if n := r.issuer.Fetches(); n != 1 {
			t.Fatalf("%d fetches", n)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReloadIsAllOrNothing: a configuration that is another in every part, and in
// one of them bad, changes none of them, whichever it is.
func TestReloadIsAllOrNothing(t *testing.T) {
	r := start(t, func(c *config.Config) {
		withAdmin(c)
		c.Admin.TLS = config.AdminTLS{Cert: c.Listen[1].TLS.Cert, Key: c.Listen[1].TLS.Key}
	})
	r.waitReady()
	d := r.login(true)
	second := authtest.Serve(t, authtest.Named("second"))
	certs, strange := certtest.New(t), certtest.New(t)
	other := func() *config.Config {
		next := *r.cfg
		next.Issuers = slices.Clone(r.cfg.Issuers)
		next.Listen = slices.Clone(r.cfg.Listen)
		next.Issuers[0].Name, next.Issuers[0].Issuer = "second", second.URL
		next.Listen[1].TLS = &config.TLS{Cert: certs.Cert, Key: certs.Key}
		next.Admin.TLS = config.AdminTLS{Cert: certs.Cert, Key: certs.Key}
		next.Admin.Issuers = []string{"second"}
		next.Limits.Connections = 5
		next.Log.Level = "error"
		return &next
	}
	for _, row := range []struct {
		name  string
		spoil func(*config.Config)
		want  string
	}{
		{"no such log level", func(c *config.Config) { c.Log.Level = "loud" }, "log.level: "},
		{"no certificate", func(c *config.Config) { c.Listen[1].TLS.Cert = "/nowhere.crt" }, "listen[1].tls: open /nowhere.crt: "},
		{"another's key", func(c *config.Config) { c.Listen[1].TLS.Key = strange.Key }, "listen[1].tls: "},
		{"no client authority", func(c *config.Config) { c.Listen[1].TLS.ClientCA = certs.Key }, "listen[1].tls: "},
		{"the admin API's key", func(c *config.Config) { c.Admin.TLS.Key = strange.Key }, "admin.tls: "},
		{"no authorities for the key set", func(c *config.Config) { c.Issuers[0].JWKS.CAFile = "/nowhere.pem" }, "issuers[0]: "},
		{"an issuer twice", func(c *config.Config) { // and none that admin.issuers names
			c.Issuers, c.Admin.Issuers = append(c.Issuers, c.Issuers[0]), nil
		}, `auth: issuer "second": `},
	} {
		t.Run(row.name, func(t *testing.T) {
			next := other()
			row.spoil(next)
			limits, level := r.gateway.Limits(), r.logLevel.Level()
			counted := r.metric("linegate_auth_attempts_total", `issuer="main"`, `outcome="ok"`)
			if err := r.Reload(next); err == nil || !strings.HasPrefix(err.Error(), row.want) {
				t.Fatalf("error %v, want %s", err, row.want)
			}
			if got := r.metric("linegate_config_last_reload_successful"); got != 0 {
				t.Errorf("last reload successful: %v", got)
			}
			if r.gateway.Limits() != limits || r.logLevel.Level() != level || r.App.cfg.Load() != r.cfg {
				t.Errorf("limits %+v, level %v", r.gateway.Limits(), r.logLevel.Level())
			}
			if got := r.metric("linegate_auth_attempts_total", `issuer="main"`, `outcome="ok"`); got != counted {
				t.Errorf("%v logins counted, before there were %v", got, counted)
			}
			if _, body := r.get("/metrics"); strings.Contains(body, `issuer="second"`) {
				t.Error("the other issuer has metrics")
			}
			d.lives()
			r.login(true).Close() // the certificate and the issuer
			r.refused(second.Token())
			client := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.certs.Roots()}}
			if status, text := r.adminAs(client, "https://", r.operator(), "GET", "/v1/sessions", ""); status != http.StatusOK {
				t.Errorf("admin API: %d %s", status, text)
			}
		})
	}

	// Without a fault, all of it is another.
	if err := r.Reload(other()); err != nil {
		t.Fatal(err)
	}
	if r.gateway.Limits().Connections != 5 || r.logLevel.Level() != slog.LevelError || r.metric("linegate_config_last_reload_successful") != 1 {
		t.Errorf("limits %+v, level %v", r.gateway.Limits(), r.logLevel.Level())
	}
	r.refused(r.issuer.Token())
	in := r.dialTLS("tls", &tls.Config{RootCAs: certs.Roots(), ServerName: "localhost"})
	in.say("AUTH " + second.Token())
	in.expect("OK AUTH ")
	client := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certs.Roots()}}
	operator := second.Token(authtest.Claim("scope", "linegate:admin"))
	if status, text := r.adminAs(client, "https://", operator, "GET", "/v1/sessions", ""); status != http.StatusOK {
		t.Errorf("admin API: %d %s", status, text)
	}
}

// TestDrainWhileAReloadHangs: whoever drains waits for no file. What is read from it
// after all changes nothing, and nobody is told that the gateway is ready.
func TestDrainWhileAReloadHangs(t *testing.T) {
	manager := newManager(t)
	r := startWith(t, nil, manager.manage)
	r.waitReady()
	d := r.login(false)
	next := *r.cfg
	next.Limits.Connections = 5
	reading, hang, refused := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		refused <- r.App.Reload(func() (*config.Config, error) {
			close(reading)
			<-hang
			return &next, nil
		})
	}()
	<-reading
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	d.expect("NOTICE draining ")
	d.expect("BYE draining ")
	close(hang)
	if err := <-refused; !errors.Is(err, errDraining) {
		t.Errorf("error %v", err)
	}
	if r.App.cfg.Load() != r.cfg || r.gateway.Limits().Connections == 5 {
		t.Error("what came too late is in force")
	}
	if err := r.App.Reload(func() (*config.Config, error) { return &next, nil }); !errors.Is(err, errDraining) {
		t.Errorf("behind the drain: error %v", err)
	}
	if told := manager.told(); !slices.Equal(told, []string{"READY=1", "RELOADING=1", "STOPPING=1"}) {
		t.Errorf("told %q", told)
	}
}

// TestResumptionOverReload: who was let in by his certificate, at a listener or at
// the admin API, resumes no TLS session when the client authorities are others,
// and gets in no more.
func TestResumptionOverReload(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			clients, others := certtest.New(t), certtest.New(t)
			r := start(t, func(c *config.Config) {
				withAdmin(c)
				c.Listen[1].TLS.ClientCA = clients.CA
				c.Admin.TLS = config.AdminTLS{Cert: c.Listen[1].TLS.Cert, Key: c.Listen[1].TLS.Key, ClientCA: clients.CA}
			})
			r.waitReady()
			own := clients.Issue("alice")
			places := map[string]*tls.Config{r.Addr("tls").String(): nil, r.AdminAddr().String(): nil}
			for address := range places {
				cfg := &tls.Config{
					RootCAs: r.certs.Roots(), MinVersion: version, MaxVersion: version,
					// By whatever CA the server names.
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
					ClientSessionCache:   tls.NewLRUClientSessionCache(1),
				}
				places[address] = cfg
				for visit, want := range []bool{false, true} {
					if resumed, err := greet(address, cfg); err != nil || resumed != want {
						t.Fatalf("%s, visit %d: resumed %t, %v", address, visit, resumed, err)
					}
				}
			}
			next := *r.cfg
			next.Listen = slices.Clone(r.cfg.Listen)
			next.Listen[1].TLS = &config.TLS{Cert: r.certs.Cert, Key: r.certs.Key, ClientCA: others.CA}
			next.Admin.TLS.ClientCA = others.CA
			if err := r.Reload(&next); err != nil {
				t.Fatal(err)
			}
			for address, cfg := range places {
				if resumed, err := greet(address, cfg); resumed || err == nil {
					t.Errorf("%s: resumed %t, %v", address, resumed, err)
				}
			}
		})
	}
}

// greet says what devices and the admin API both answer, and tells whether the TLS
// session was resumed. Under TLS 1.3 tickets, or a refusal, come with the answer.
func greet(address string, cfg *tls.Config) (resumed bool, err error) {
	nc, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	resumed = nc.ConnectionState().DidResume
	if _, err := nc.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return resumed, err
	}
	_, err = nc.Read(make([]byte, 1))
	return resumed, err
}
