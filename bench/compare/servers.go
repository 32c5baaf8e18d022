package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/linegate/linegate/internal/load"
)

// The servers, as the table heads them.
const (
	linegate = "linegate"
	redis    = "Redis"
	resp     = "Redis, RESP" // spoken to as its own clients do
	epoll    = "epoll (C)"
	goserver = "Go"
	nats     = "NATS"
)

// variant is how a server is started.
type variant struct {
	tls bool
	// strangers lets all connections of the gateway be strangers at once.
	strangers bool
}

// server is a process under measurement.
type server struct {
	name    string
	variant variant
	address string
	ops     string // linegate's HTTP
	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended
}

// start starts a server on free ports of 127.0.0.1, and returns when it can be
// connected to; linegate also has its keys then.
func (b *bench) start(ctx context.Context, name string, v variant) (*server, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s := &server{name: name, variant: v, address: ports[0], ops: ports[1]}
	if err := b.launch(ctx, s); err != nil {
		return nil, err
	}
	if err := s.wait(ctx, s.ready); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// launch starts the process of s, again or for the first time, and returns when
// it can be connected to.
func (b *bench) launch(ctx context.Context, s *server) error {
	args, err := b.command(s)
	if err != nil {
		return err
	}
	s.process = exec.CommandContext(ctx, args[0], args[1:]...)
	if err := s.process.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.process.Wait()
		close(s.ended)
	}()
	if err := s.wait(ctx, s.accepts); err != nil {
		s.stop()
		return err
	}
	return nil
}

func (b *bench) command(s *server) ([]string, error) {
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return nil, err
	}
	switch s.name {
	case linegate:
		file := filepath.Join(b.dir, "linegate.yaml")
		if err := os.WriteFile(file, []byte(b.linegateConfig(s)), 0o600); err != nil {
			return nil, err
		}
		return []string{filepath.Join(b.bin, "linegate"), "serve", "--config", file}, nil
	case redis, resp:
		args := []string{
			"redis-server", "--bind", host, "--save", "", "--appendonly", "no", "--logfile", "/dev/null", "--dir", b.dir,
			"--requirepass", password, "--maxclients", "19900", "--tcp-backlog", "4096",
		}
		if s.variant.tls {
			return append(args, "--port", "0", "--tls-port", port, "--tls-cert-file", b.cert.cert, "--tls-key-file", b.cert.key,
				"--tls-ca-cert-file", b.cert.cert, "--tls-auth-clients", "no", "--tls-protocols", "TLSv1.3"), nil
		}
		return append(args, "--port", port), nil
	case epoll:
		return []string{filepath.Join(b.bin, "epollserver"), host, port}, nil
	case goserver:
		args := []string{filepath.Join(b.bin, "goserver")}
		if s.variant.tls {
			args = append(args, "-cert", b.cert.cert, "-key", b.cert.key)
		}
		return append(args, s.address), nil
	case nats:
		return []string{"nats-server", "-a", host, "-p", port, "-l", "/dev/null"}, nil
	}
	return nil, errors.New("no server " + s.name)
}

// password is what Redis's AUTH carries: 32 characters, where the gateway's has
// a token.
const password = "0123456789abcdef0123456789abcdef"

// linegateConfig has the defaults but for what has none.
func (b *bench) linegateConfig(s *server) string {
	listener, limits := "", ""
	if s.variant.tls {
		listener = fmt.Sprintf(", tls: {cert: %s, key: %s}", b.cert.cert, b.cert.key)
	}
	if s.variant.strangers {
		limits = fmt.Sprintf("limits: {connections: %d, unauthenticated: %[1]d}\n", gatewayConnections)
	}
	return fmt.Sprintf(`listen: [{name: bench, address: "%s"%s}]
ops: {address: "%s"}
issuers: [{name: bench, issuer: "%s", jwks_uri: "%[4]s/keys", audience: [%s], required_scopes: ["%s"]}]
%s`, s.address, listener, s.ops, b.issuer.url, audience, scope, limits)
}

// gatewayConnections fits a limit of 20,000 open files.
const gatewayConnections = 19_500

// wait waits until something holds of s.
func (s *server) wait(ctx context.Context, holds func(context.Context) bool) error {
	for deadline := time.Now().Add(20 * time.Second); !holds(ctx); {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not there after 20 s", s.name)
		}
		select {
		case <-s.ended:
			return fmt.Errorf("%s: it ended (%v)", s.name, s.process.ProcessState)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (s *server) accepts(ctx context.Context) bool {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err == nil {
		nc.Close()
	}
	return err == nil
}

// ready reports whether linegate has its keys; the others have none.
func (s *server) ready(ctx context.Context) bool {
	if s.name != linegate {
		return true
	}
	_, err := s.get(ctx, "/readyz")
	return err == nil
}

// get asks the operator's HTTP of linegate.
func (s *server) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.ops+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return string(body), err
}

// stop ends the process at once and waits for its end.
func (s *server) stop() {
	_ = s.process.Process.Kill()
	<-s.ended
}

// config begins the configuration of a run against s.
func (b *bench) config(s *server, tokens []string) load.Config {
	c := load.Config{Address: s.address, Source: loopback, PID: s.process.Process.Pid, Timeout: time.Minute}
	if s.variant.tls {
		c.TLS = b.cert.client
	}
	switch s.name {
	case linegate:
		c.Protocol, c.Tokens = load.Linegate, tokens
	case redis:
		c.Protocol, c.Tokens = load.Redis, []string{password}
	case resp:
		c.Protocol, c.Tokens = load.RESP, []string{password}
	case nats:
		c.Protocol = load.NATS
	default:
		c.Protocol = load.Lines
	}
	return c
}

// freePorts returns addresses on which nobody listens.
func freePorts(n int) ([]string, error) {
	var addresses []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

// has reports whether a server is on this machine.
func (b *bench) has(name string) bool {
	program := map[string]string{
		linegate: filepath.Join(b.bin, "linegate"), goserver: filepath.Join(b.bin, "goserver"), epoll: filepath.Join(b.bin, "epollserver"),
		redis: "redis-server", resp: "redis-server", nats: "nats-server",
	}[name]
	_, err := exec.LookPath(program)
	return err == nil
}

// output is the first line that a program prints, empty if there is none.
func output(ctx context.Context, args ...string) string {
	said, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(said), "\n")
	return strings.TrimSpace(line)
}
