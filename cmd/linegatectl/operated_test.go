package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/app"
	"github.com/linegate/linegate/internal/config"
)

// operated is a whole gateway with its admin API, on ports of its own. Its
// devices have tokens of the issuer main, and its operators of ops.
type operated struct {
	t         *testing.T
	issuer    *authtest.Issuer // main
	operators *authtest.Issuer // ops
	address   string           // for devices
	secured   string           // with TLS, where there is a listener tls
	api       string           // host:port of the admin API
	admin     []string         // the flags by which linegatectl finds it, with a token
}

// operate starts one; change has the last word on its configuration.
func operate(t *testing.T, change func(*config.Config)) *operated {
	t.Helper()
	o := &operated{t: t, issuer: authtest.Serve(t, authtest.Named("main")), operators: authtest.Serve(t, authtest.Named("ops"))}
	c := config.Default()
	c.Issuers = []config.Issuer{trusted(o.issuer), trusted(o.operators)}
	plain := config.NewListener("127.0.0.1:0")
	plain.Name = "plain"
	c.Listen = []config.Listener{plain}
	c.Ops.Address, c.Admin.Address = "127.0.0.1:0", "127.0.0.1:0"
	c.Admin.Issuers = []string{"ops"}
	c.Drain.Timeout = 0
	if change != nil {
		change(c)
	}
	gateway, err := app.New(c, app.Options{Log: slog.New(slog.DiscardHandler), LogLevel: new(slog.LevelVar)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	o.address = gateway.Addr("plain").String()
	if addr := gateway.Addr("tls"); addr != nil {
		o.secured = addr.String()
	}
	o.api = gateway.AdminAddr().String()
	o.admin = []string{"--admin-url", "http://" + o.api, "--admin-token-file", o.operator()}
	return o
}

// operator is the file of an operator's token.
func (o *operated) operator(changes ...authtest.Change) string {
	o.t.Helper()
	return tokenFile(o.t, o.operators, append([]authtest.Change{authtest.Sub("olga"), authtest.Claim("scope", adminScope)}, changes...)...)
}

// trusted is the configuration of an issuer.
func trusted(iss *authtest.Issuer) config.Issuer {
	c := config.NewIssuer()
	c.Name, c.Issuer = iss.Name, iss.URL
	c.Audience, c.RequiredScopes = iss.Config().Audience, iss.Config().RequiredScopes
	c.JWKS.Cooldown = 100 * time.Millisecond
	return c
}

// run runs one of the operator's verbs.
func (o *operated) run(args ...string) result {
	o.t.Helper()
	return run(o.t, "", append(args, o.admin...)...)
}

// connected is a device that has a session.
type connected struct {
	net.Conn
	t       *testing.T
	lines   *bufio.Reader
	token   string
	session string // its id
}

// connect opens a session with a new token.
func (o *operated) connect(changes ...authtest.Change) *connected {
	o.t.Helper()
	return o.connectWith(o.issuer.Token(changes...))
}

// connectWith opens a session with this token.
func (o *operated) connectWith(token string) *connected {
	o.t.Helper()
	d, answer := o.login(token)
	_, rest, found := strings.Cut(answer, " session=")
	if d.session, _, _ = strings.Cut(rest, " "); !found || !strings.HasPrefix(answer, "OK AUTH ") {
		o.t.Fatalf("got %q", answer)
	}
	d.lives() // from here on it counts, whatever was faster than the OK
	return d
}

// login tries to open a session, and returns what the gateway says.
func (o *operated) login(token string) (d *connected, answer string) {
	o.t.Helper()
	conn, err := net.Dial("tcp", o.address)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	d = &connected{Conn: conn, t: o.t, lines: bufio.NewReader(conn), token: token}
	if _, err := io.WriteString(d, "AUTH "+token+"\n"); err != nil {
		o.t.Fatal(err)
	}
	return d, d.hears()
}

func (d *connected) hears() string {
	d.t.Helper()
	line, err := d.lines.ReadString('\n')
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// ended waits for the BYE of a session that an operator has ended, and for the
// end behind it, when it is on no list any more.
func (d *connected) ended() {
	d.t.Helper()
	if line := d.hears(); !strings.HasPrefix(line, "BYE token_revoked action=reauth ") {
		d.t.Errorf("got %q", line)
	}
	if more, err := d.lines.ReadString('\n'); err != io.EOF {
		d.t.Errorf("got %q, %v", more, err)
	}
}

// lives checks that the session is there.
func (d *connected) lives() {
	d.t.Helper()
	fmt.Fprintln(d, "ping")
	if line := d.hears(); line != "pong" {
		d.t.Errorf("got %q", line)
	}
}
