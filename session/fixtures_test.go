package session

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/secure"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/internal/tcptest"
	"github.com/linegate/linegate/internal/tlstest"
	"github.com/linegate/linegate/wire"
)

func newServer(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Authenticator == nil {
		cfg.Authenticator = anyToken{}
	}
	srv, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// anyToken lets everybody in, under the token's own name.
type anyToken struct{}

func (anyToken) Verify(_ context.Context, token string, _ auth.Proof) (*auth.Identity, error) {
	return &auth.Identity{Grant: &auth.Grant{IssuerName: "main", Issuer: "issuer"}, Subject: token, Expires: time.Now().Add(time.Hour)}, nil
}

// trusted lets everybody in as anyToken does, on key k1, and can take it back.
type trusted struct {
	anyToken
	castTrust
}

func (a *trusted) Verify(ctx context.Context, token string, proof auth.Proof) (*auth.Identity, error) {
	identity, err := a.anyToken.Verify(ctx, token, proof)
	identity.Thumbprint = "k1"
	return identity, err
}

// backendFunc is a Backend.
type backendFunc func(text []byte, r *Reply)

func (f backendFunc) Message(_ *Session, text []byte, r *Reply) error { f(text, r); return nil }

// castServer is a server whose clock, chance and cast are the dialogues'.
func castServer(t testing.TB, rules Rules, clock *testClock, cast castAuth) *Server {
	t.Helper()
	srv, err := NewServer(Config{
		Authenticator: cast,
		Backend:       castBackend{},
		Rules:         rules,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.clock = clock.read
	srv.newID = func() string { return "S" }
	srv.jitter = func(int64) int64 { return 0 }
	return srv
}

// testClock is both clocks, set by hand.
type testClock struct {
	mu  sync.Mutex
	now moment
}

func newTestClock() *testClock { return &testClock{now: moment{wall: epoch.UnixNano()}} }

func (c *testClock) read() moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) wall() time.Time { return time.Unix(0, c.read().wall) }

func (c *testClock) add(mono, wall time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.mono += mono
	c.now.wall += int64(wall)
}

// serve is a session until its end.
func serve(srv *Server, nc net.Conn) (s *Session, ended chan wire.Code) {
	s, ended = srv.New(nc, nil), make(chan wire.Code, 1)
	go func() { ended <- s.Serve() }()
	return s, ended
}

// connect serves a session and lets its client in.
func connect(t testing.TB, srv *Server, client, server net.Conn) (s *Session, in *bufio.Reader, ended chan wire.Code) {
	t.Helper()
	return connectAs(t, srv, client, server, "alice")
}

func connectAs(t testing.TB, srv *Server, client, server net.Conn, token string) (s *Session, in *bufio.Reader, ended chan wire.Code) {
	t.Helper()
	s, ended = serve(srv, server)
	if _, err := io.WriteString(client, "AUTH "+token+"\n"); err != nil {
		t.Fatal(err)
	}
	in = bufio.NewReader(client)
	expect(t, in, "OK AUTH ")
	return s, in, ended
}

func expect(t testing.TB, in *bufio.Reader, prefix string) {
	t.Helper()
	line, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		t.Fatalf("got %q, %v; want %q...", line, err, prefix)
	}
}

func talk(t testing.TB, in *bufio.Reader, lines ...string) {
	t.Helper()
	for _, line := range lines {
		expect(t, in, line)
	}
}

func (o *outbox) unsentBytes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size()
}

// pairs makes the two ends of a connection.
type pairs func(testing.TB) (client, server net.Conn)

// transports are what devices connect by.
func transports(t testing.TB) map[string]pairs {
	return map[string]pairs{"tcp": tcpPair, "tls": tlsPairs(t, tcpPair)}
}

func tcpPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	client, server = tcptest.Pair(t)
	return client, steady.New(server, 10*time.Second)
}

// bytePair is a tcpPair whose client sends every byte by itself.
func bytePair(t testing.TB) (client, server net.Conn) {
	client, server = tcpPair(t)
	return bytesWriter{client}, server
}

type bytesWriter struct{ net.Conn }

func (w bytesWriter) Write(b []byte) (n int, err error) {
	for i := range b {
		if _, err := w.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// CloseWrite ends the stream, as the net.Conn's does.
func (w bytesWriter) CloseWrite() error { return w.Conn.(*net.TCPConn).CloseWrite() }

// tlsPairs puts pairs behind TLS.
func tlsPairs(t testing.TB, pair pairs) pairs {
	t.Helper()
	serverConfig, clientConfig := certtest.New(t).Configs()
	return func(t testing.TB) (client, server net.Conn) {
		near, far := pair(t)
		tlsServer, shaken := secured(far, serverConfig)
		tlsClient := tls.Client(near, clientConfig)
		if err := errors.Join(tlsClient.Handshake(), <-shaken); err != nil {
			t.Fatal(err)
		}
		return tlsClient, tlsServer
	}
}

// secured is the server's end behind TLS once it has shaken hands.
func secured(far net.Conn, config *tls.Config) (server *secure.Conn, shaken <-chan error) {
	server = secure.Server(far.(*steady.Conn), config)
	done := make(chan error, 1)
	go func() { done <- server.Handshake(tlstest.NoTurn{}) }()
	return server, done
}
