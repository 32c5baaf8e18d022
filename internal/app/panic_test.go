package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/gateway"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/logtest"
	"github.com/linegate/linegate/session"
	"github.com/linegate/linegate/wire"
)

// victim is a token, and what nobody may log of it.
const victim = "eyJhbGciOiJFUzI1NiJ9.the-victim-s-own-claims.and-its-signature"

// TestPanics: wherever a panic can be on a connection's way, it ends that connection
// alone. It is counted, it is logged without what the client sent, and nothing of
// the connection is left; another session is served before and after.
func TestPanics(t *testing.T) {
	for _, p := range []struct {
		place string
		says  string // of the victim, behind its AUTH
		tls   []bool
	}{
		{"the socket is read in a TLS handshake", "", []bool{true}},
		{"the connection gets its server", "", both},
		{"the token is recalled", "", both},
		{"the token is verified", "", both},
		{"how the token stands is asked", "", both},
		{"the backend is told of a session", "", both},
		{"the backend is told of its end", "AUTH\xff\n", both},
		{"the token of a renewal is verified", "AUTH another.one.again\n", both},
		{"a message is taken", "hello\n", both},
		{"a message is taken, behind others", strings.Repeat("fine\n", 100) + "hello\n", both},
		{"the socket is written, by a goroutine of its own", "flood\n", both},
		{"a connection in excess is told so", "", []bool{false}},
	} {
		for _, secure := range p.tls {
			t.Run(fmt.Sprintf("%s/tls=%t", p.place, secure), func(t *testing.T) {
				s := panicking(t, p.place, secure)
				s.suffer(p.says)
			})
		}
	}
}

var both = []bool{false, true}

// stage is a gateway that panics in one place, where its victim comes to it.
type stage struct {
	session.Echo
	t        *testing.T
	place    string
	log      logtest.Log
	certs    *certtest.Authority
	gateway  *gateway.Gateway
	sessions *session.Server
	registry *prometheus.Registry
	addr     string
	tls      bool
	armed    atomic.Bool
}

func panicking(t *testing.T, place string, secure bool) *stage {
	t.Helper()
	s := &stage{t: t, place: place, certs: certtest.New(t), registry: prometheus.NewRegistry(), tls: secure}
	log := slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if s.sessions, err = session.NewServer(session.Config{Authenticator: s, Backend: s, Log: log}); err != nil {
		t.Fatal(err)
	}
	limit := 2
	if place == "a connection in excess is told so" {
		limit = 1
	}
	if s.gateway, err = gateway.New(gateway.Config{
		Handler: s.serve,
		Limits:  gateway.Limits{Connections: limit, Unauthenticated: limit},
		Metrics: gateway.NewMetrics(s.registry), Log: log,
	}); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &gateway.Listener{Listener: panickyListener{socket, s}, Name: "devices"}
	if secure {
		if l.TLS, err = gateway.NewTLS(gateway.TLSConfig{CertFile: s.certs.Cert, KeyFile: s.certs.Key}); err != nil {
			t.Fatal(err)
		}
	}
	s.addr = socket.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.gateway.Serve(l) }()
	t.Cleanup(func() {
		s.gateway.Close()
		if err := <-served; !errors.Is(err, gateway.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

// suffer has the victim come, and looks at what is left of it.
func (s *stage) suffer(says string) {
	s.t.Helper()
	other := s.dial()
	other.say("AUTH someone.else.here")
	other.expect("OK AUTH ")
	other.lives()
	goroutines, files := runtime.NumGoroutine(), openFiles(s.t)

	s.armed.Store(true)
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = nc.(*net.TCPConn).SetReadBuffer(4096)
	var c net.Conn = nc
	if s.tls {
		c = tls.Client(nc, &tls.Config{RootCAs: s.certs.Roots(), ServerName: "localhost"})
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	say(c, "AUTH "+victim+"\n"+says)
	other.lives()
	s.waitFor("counted", func() bool { return s.metric("linegate_panics_total") == 1 })
	s.waitFor("closed for it", func() bool { return s.metric("linegate_connections_closed_total", `reason="panic"`) == 1 })
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Error("the connection stays")
	}
	c.Close()
	if n := s.metric("linegate_connections_open"); n != 1 {
		s.t.Errorf("%v connections are open", n)
	}
	s.waitFor("left by the victim alone", func() bool {
		return len(s.sessions.Sessions()) == 1 && runtime.NumGoroutine() <= goroutines && openFiles(s.t) <= files
	})
	other.lives()
	s.sessions.Flush()
	log := s.log.String()
	if !strings.Contains(log, `"level":"ERROR","msg":"serving a connection panicked"`) || !strings.Contains(log, "panic_test.go") {
		s.t.Errorf("the log does not tell where:\n%s", log)
	}
	checkSilent(s.t, "log", log, victim)
	if strings.Contains(log, "hello") {
		s.t.Errorf("the log holds a message:\n%s", log)
	}
}

func (s *stage) dial() *device {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.tls {
		nc = tls.Client(nc, &tls.Config{RootCAs: s.certs.Roots(), ServerName: "localhost"})
	}
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	s.t.Cleanup(func() { nc.Close() })
	return &device{Conn: nc, t: s.t, in: bufio.NewReader(nc)}
}

func (s *stage) waitFor(what string, holds func() bool) {
	s.t.Helper()
	(&running{t: s.t, log: &s.log}).waitFor(what, holds)
}

func (s *stage) metric(name string, label ...string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	var body strings.Builder
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, pair := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", pair.GetName(), pair.GetValue()))
			}
			fmt.Fprintf(&body, "%s{%s} %v\n", family.GetName(), strings.Join(labels, ","), m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	return metricOf(s.t, body.String(), name, label...)
}

// at panics where that is the place, with what must not be logged.
func (s *stage) at(place string, concerns bool) {
	if concerns && s.armed.Load() && place == s.place {
		panic("with " + victim)
	}
}

func (s *stage) serve(nc net.Conn, stranger gateway.Stranger) gateway.Conn {
	s.at("the connection gets its server", true)
	return s.sessions.New(nc, stranger)
}

func (s *stage) Recall(token string, _ auth.Proof) *auth.Identity {
	s.at("the token is recalled", token == victim)
	return nil
}

func (s *stage) Verify(_ context.Context, token string, proof auth.Proof) (*auth.Identity, error) {
	s.at("the token is verified", token == victim)
	s.at("the token of a renewal is verified", proof.Session)
	return &auth.Identity{Grant: &auth.Grant{IssuerName: "main", Issuer: "issuer"}, Subject: token[:7], Expires: time.Now().Add(time.Hour)}, nil
}

func (s *stage) Standing(identity *auth.Identity) auth.Standing {
	s.at("how the token stands is asked", ofVictim(identity))
	return auth.Standing{}
}

func (s *stage) Opened(opened *session.Session) {
	s.at("the backend is told of a session", ofVictim(opened.Identity()))
	if s.place == "the backend is told of its end" && ofVictim(opened.Identity()) {
		opened.End(wire.TokenRevoked, 0)
	}
}

func (s *stage) Closed(closed *session.Session) {
	s.at("the backend is told of its end", ofVictim(closed.Identity()))
}

func ofVictim(identity *auth.Identity) bool { return strings.HasPrefix(victim, identity.Subject) }

func (s *stage) Message(from *session.Session, text []byte, r *session.Reply) error {
	s.at("a message is taken", string(text) == "hello")
	s.at("a message is taken, behind others", string(text) == "hello")
	if string(text) == "flood" { // more than the kernel takes
		for line := bytes.Repeat([]byte("x"), 8000); len(line) > 7980; line = line[1:] {
			if err := from.Push(line); err != nil {
				return err
			}
		}
	}
	return s.Echo.Message(from, text, r)
}

// panickyListener brings sockets that panic where the runtime's would not.
type panickyListener struct {
	net.Listener
	s *stage
}

func (l panickyListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_ = nc.(*net.TCPConn).SetWriteBuffer(4096) // it has to be waited for soon
	return panickySocket{nc.(*net.TCPConn), l.s}, nil
}

type panickySocket struct {
	*net.TCPConn
	s *stage
}

func (p panickySocket) Read(b []byte) (int, error) {
	p.s.at("the socket is read in a TLS handshake", true)
	return p.TCPConn.Read(b)
}

func (p panickySocket) Write(b []byte) (int, error) {
	p.s.at("the socket is written, by a goroutine of its own", true)
	p.s.at("a connection in excess is told so", true)
	return p.TCPConn.Write(b)
}
