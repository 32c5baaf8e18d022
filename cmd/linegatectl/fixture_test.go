package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/devissuer"
	"github.com/linegate/linegate/session"
)

// result is what one command line did.
type result struct {
	status         int
	stdout, stderr string
}

// run runs one command line to its end.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return runWith(t, nil, stdin, args...)
}

// runWith has no login, unless environ says where there is one.
func runWith(t *testing.T, environ []string, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := Run(t.Context(), args, append(noLogin(t), environ...), strings.NewReader(stdin), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// running is a command that goes on while the test talks with it.
type running struct {
	t      *testing.T
	stdin  *io.PipeWriter
	stdout *bufio.Scanner
	stderr *bufio.Scanner
	cancel context.CancelFunc // the person's Ctrl-C
	status chan int
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	return startWith(t, noLogin(t), args...)
}

func noLogin(t *testing.T) (environ []string) {
	return []string{storeVariable + "=" + filepath.Join(t.TempDir(), "tokens.json")}
}

func startWith(t *testing.T, environ []string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	in, stdin := io.Pipe()
	stdout, out := unbounded()
	stderr, err := unbounded()
	r := &running{t, stdin, bufio.NewScanner(stdout), bufio.NewScanner(stderr), cancel, make(chan int, 1)}
	go func() {
		status := Run(ctx, args, environ, in, out, err)
		out.Close()
		err.Close()
		r.status <- status
	}()
	t.Cleanup(func() {
		cancel()
		stdin.Close()
	})
	return r
}

// unbounded is a pipe that never makes its writer wait.
func unbounded() (io.Reader, io.WriteCloser) {
	p := &pipe{more: make(chan struct{}, 1)}
	return p, p
}

type pipe struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	closed bool
	more   chan struct{}
}

func (p *pipe) Write(b []byte) (int, error) {
	defer p.wake()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.Write(b)
}

func (p *pipe) Close() error {
	defer p.wake()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

func (p *pipe) wake() {
	select {
	case p.more <- struct{}{}:
	default:
	}
}

func (p *pipe) Read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		n, _ := p.buf.Read(b)
		closed := p.closed
		p.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		if closed {
			return 0, io.EOF
		}
		<-p.more
	}
}

func (r *running) types(line string) {
	r.t.Helper()
	if _, err := io.WriteString(r.stdin, line+"\n"); err != nil {
		r.t.Fatal(err)
	}
}

// shows waits for lines of the conversation that begin so, in this order, with
// nothing between them.
func (r *running) shows(prefixes ...string) {
	r.t.Helper()
	next(r.t, r.stdout, prefixes)
}

func (r *running) tells(prefixes ...string) {
	r.t.Helper()
	next(r.t, r.stderr, prefixes)
}

func next(t *testing.T, lines *bufio.Scanner, prefixes []string) {
	t.Helper()
	for _, prefix := range prefixes {
		more := lines.Scan()
		for more && !strings.HasPrefix(lines.Text(), prefix) && byTheClock(lines.Text()) {
			more = lines.Scan()
		}
		if !more || !strings.HasPrefix(lines.Text(), prefix) {
			t.Fatalf("got %q, want %q...", lines.Text(), prefix)
		}
	}
}

// byTheClock tells whether a line stands wherever its time has come: a ping, or
// on a busy machine the gateway's reminder of a renewal that is under way.
func byTheClock(line string) bool {
	return line == "> ping" || line == "< pong" || strings.HasPrefix(line, "< NOTICE reauth ")
}

func (r *running) ends(status int) {
	r.t.Helper()
	if got := <-r.status; got != status {
		r.t.Errorf("exit status %d, want %d", got, status)
	}
}

// issuer is the development issuer on a port of its own.
func issuer(t *testing.T) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String()
	handler, err := devissuer.New(devissuer.Config{Issuer: url})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(server.Close)
	return url
}

// gateway is a real one for the tokens of an authtest issuer, on TCP, or on TLS
// if config is not nil.
func gateway(t *testing.T, verifier *auth.Verifier, rules session.Rules, config *tls.Config) (address string) {
	t.Helper()
	server, err := session.NewServer(session.Config{Authenticator: verifier, Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, config, func(nc net.Conn) { server.New(nc, nil).Serve() })
}

// listen serves each connection to a port of its own.
func listen(t *testing.T, config *tls.Config, serve func(net.Conn)) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = ln.Addr().String()
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer nc.Close()
				serve(nc)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		open.Wait()
	})
	return address
}

// script is a gateway that says these lines after the AUTH of the first, the
// second connection, and so on, and hangs up; after those it echoes.
func script(t *testing.T, sessions ...string) (address string) {
	turn := make(chan string, len(sessions))
	for _, lines := range sessions {
		turn <- lines
	}
	return listen(t, nil, func(nc net.Conn) {
		r := bufio.NewReader(nc)
		if _, err := r.ReadString('\n'); err != nil {
			return
		}
		select {
		case lines := <-turn:
			_, _ = io.WriteString(nc, lines)
			return
		default:
		}
		fmt.Fprintln(nc, okLine)
		for {
			line, err := r.ReadString('\n')
			switch {
			case err != nil:
				return
			case line == "ping\n":
				fmt.Fprint(nc, "pong\n")
			default:
				fmt.Fprint(nc, "from server: "+line)
			}
		}
	})
}

const okLine = "OK AUTH v=1 sub=d session=s expires_in=300 reauth_in=240 idle_timeout=30 max_line=8192"

// tokenFile holds a token of iss.
func tokenFile(t *testing.T, iss *authtest.Issuer, changes ...authtest.Change) string {
	t.Helper()
	return write(t, "token", iss.Token(changes...)+"\n")
}

func write(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate is one for 127.0.0.1 and gateway.test, and the file that makes a
// client trust it.
func certificate(t *testing.T) (config *tls.Config, caFile string) {
	t.Helper()
	authority := certtest.New(t)
	return &tls.Config{Certificates: []tls.Certificate{authority.Issue("gateway.test")}}, authority.CA
}
