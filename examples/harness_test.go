//go:build examples

// Package examples runs each example as its reader would, against a real
// gateway with a real issuer (make test-examples). It needs python3, nc, curl,
// make and a C compiler, and fails without them.
package examples

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/internal/app"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/devissuer"
)

// patience is how long a test waits for what should come. Most comes at once.
const patience = 40 * time.Second

// tokenLifetime makes a session of ten seconds live across several tokens.
const tokenLifetime = 3 * time.Second

// site is an issuer and a gateway that trusts it, on ports of their own.
type site struct {
	t      *testing.T
	issuer string // URL
	host   string
	port   string
	tls    string // host:port
	ca     string // PEM file
	config *config.Config
	app    *app.App
	stop   func() // drains
}

func newSite(t *testing.T) *site {
	t.Helper()
	// The server's address is part of the issuer's name.
	web := httptest.NewUnstartedServer(nil)
	s := &site{t: t, issuer: "http://" + web.Listener.Addr().String()}
	issuer, err := devissuer.New(devissuer.Config{Issuer: s.issuer, TokenLifetime: tokenLifetime})
	if err != nil {
		t.Fatal(err)
	}
	web.Config.Handler = issuer
	web.Start()
	t.Cleanup(web.Close)

	trusted := config.NewIssuer()
	trusted.Name = "dev"
	trusted.Issuer = s.issuer
	trusted.Audience = []string{devissuer.DefaultAudience}
	trusted.RequiredScopes = []string{"line:connect"}
	plain, secure := config.NewListener("127.0.0.1:0"), config.NewListener("127.0.0.1:0")
	plain.Name, secure.Name = "plain", "tls"
	authority := certtest.New(t)
	secure.TLS = &config.TLS{Cert: authority.Cert, Key: authority.Key}
	s.ca = authority.CA
	s.config = config.Default()
	s.config.Issuers = []config.Issuer{trusted}
	s.config.Listen = []config.Listener{plain, secure}
	s.config.Ops.Address = "127.0.0.1:0"
	s.config.Drain.Timeout = 0
	s.start()
	t.Cleanup(func() { s.stop() })

	// A restarted gateway is to be found where it was.
	s.tls = s.app.Addr("tls").String()
	s.config.Listen[0].Address = s.app.Addr("plain").String()
	s.config.Listen[1].Address = s.tls
	s.host, s.port, _ = net.SplitHostPort(s.app.Addr("plain").String())
	return s
}

// start starts the gateway and waits until it has the issuer's keys.
func (s *site) start() {
	s.t.Helper()
	var err error
	s.app, err = app.New(s.config, app.Options{Log: slog.New(slog.DiscardHandler), LogLevel: new(slog.LevelVar), Version: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func(a *app.App) { ended <- a.Run(ctx) }(s.app)
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("gateway: %v", err)
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		answer, err := http.Get("http://" + s.app.OpsAddr().String() + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the gateway does not get ready: %v", err)
		}
	}
}

func (s *site) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// tokens returns a source of tokens of the development device.
func (s *site) tokens() client.TokenSource {
	s.t.Helper()
	source, err := client.NewClientCredentials(client.CredentialsConfig{
		Issuer: s.issuer, ClientID: "dev-device", ClientSecret: "dev-secret",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return source
}

// token returns a new token.
func (s *site) token() string {
	s.t.Helper()
	token, err := s.tokens().Token(s.t.Context(), true)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// freshFile returns a file that holds a token, replaced by a new one twice a
// second until the test ends.
func (s *site) freshFile() string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "token")
	tokens := s.tokens()
	write := func() error {
		token, err := tokens.Token(s.t.Context(), true)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path+".new", []byte(token+"\n"), 0o600); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	}
	if err := write(); err != nil {
		s.t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	s.t.Cleanup(func() { close(stop); <-stopped })
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(500 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			if err := write(); err != nil && s.t.Context().Err() == nil {
				s.t.Errorf("token file: %v", err)
				return
			}
		}
	}()
	return path
}

// program is a running example. What it writes, to standard output and error,
// comes in the order written.
type program struct {
	*exec.Cmd
	t     *testing.T
	stdin io.WriteCloser
	lines chan string // closed at the end of its output

	said strings.Builder // what was read of lines
}

// run starts a program in a process group of its own; environ is what it has
// in its environment beside this one's.
func run(t *testing.T, environ []string, name string, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command(name, args...), t: t, lines: make(chan string, 1000)}
	p.Env = append(os.Environ(), environ...)
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stdout, p.Stderr = w, w
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
			_ = p.Wait()
		}
		output.Close()
		for line := range p.lines {
			p.said.WriteString(line + "\n")
		}
		if found := secrets.FindString(p.said.String()); found != "" {
			t.Errorf("the output holds a secret, %.12s...", found)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(p.Args[0]), p.said.String())
		}
	})
	go func() {
		defer close(p.lines)
		in := bufio.NewScanner(output)
		for in.Scan() {
			p.lines <- in.Text()
		}
	}()
	return p
}

// secrets is what looks like a piece of a token, or is the client's secret.
var secrets = regexp.MustCompile(`eyJ[\w-]{8}|[\w-]{60}|dev-secret`)

// until returns the submatches of the next line that matches.
func (p *program) until(pattern string) []string {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("it ended, and no line was %s", pattern)
			}
			p.said.WriteString(line + "\n")
			if found := expression.FindStringSubmatch(line); found != nil {
				return found
			}
		case <-timeout:
			p.t.Fatalf("no line %s in %v", pattern, patience)
		}
	}
}

// end waits for the program's end and returns its status.
func (p *program) end() int {
	p.t.Helper()
	timeout := time.AfterFunc(patience, func() { _ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL) })
	defer timeout.Stop()
	_ = p.Wait() // the status says it
	return p.ProcessState.ExitCode()
}

// renewals sees the session renewed n times without being replaced by another.
func (p *program) renewals(n int) {
	p.t.Helper()
	session := ""
	for range n {
		found := p.until(`OK AUTH v=1 sub=dev-device session=(\w+) |connecting again|BYE`)
		if session == "" {
			session = found[1]
		}
		if found[1] == "" || found[1] != session {
			p.t.Fatalf("session %s did not stay: %s", session, found[0])
		}
	}
}
