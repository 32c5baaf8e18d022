package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
)

// TestReloadUnderLoad: while sessions talk and others come and go, the process is
// told to reload 100 times, each time with another certificate, other issuers,
// limits and another log level. Each reload is in force as a whole, no session
// ends, none waits for an answer that does not come, nobody is turned away, and
// nothing is left behind.
func TestReloadUnderLoad(t *testing.T) {
	const reloads = 100
	main, extra := authtest.Serve(t), authtest.Serve(t, authtest.Named("extra"))
	authorities := []*certtest.Authority{certtest.New(t), certtest.New(t)}
	inDir(t, "")
	configure := func(n int) {
		extraRow := []string{
			"",
			issuerRow("extra", extra, ""),
			issuerRow("extra", extra, "jwks: {cooldown: 1s}, "),
			issuerRow("extra", extra, "leeway: 1s, "),
		}[n%4]
		level := []string{"info", "warn", "debug"}[(n+2)%3]
		rewrite(t, configuration(main, twoPorts(authorities[n%2]), "drain: {timeout: 0s}",
			fmt.Sprintf("limits: {connections: %d}\nlog: {level: %s}", 1000+n, level))+extraRow)
	}
	configure(1)
	p := startProgram(t)
	faults := make(chan []string)
	go func() {
		var all []string
		for line := range p.records {
			if !bytes.HasPrefix(line, []byte("{")) || bytes.Contains(line, []byte(`"level":"ERROR"`)) {
				all = append(all, string(line))
			}
		}
		faults <- all
	}()
	crowd := &crowd{t: t, process: p, trust: trustOf(t, authorities...), token: main.Token()}
	crowd.probe(extra.Token(), true) // whatever a first login needs is there
	before := crowd.atRest()
	crowd.talk(200, extra.Token())

	last := metric(t, p.ops, "linegate_config_last_reload_success_timestamp_seconds")
	for n := 2; n < 2+reloads; n++ {
		configure(n)
		p.signal(syscall.SIGHUP)
		before := last
		waitUntil(t, fmt.Sprint("reloaded for the time ", n), func() bool {
			last = metric(t, p.ops, "linegate_config_last_reload_success_timestamp_seconds")
			return last != before
		})
		if limit := metric(t, p.ops, "linegate_connections_limit"); limit != float64(1000+n) {
			t.Errorf("reload %d: the limit is %v", n, limit)
		}
		crowd.probe(extra.Token(), n%4 != 0)
		if got, want := crowd.certificate(), authorities[n%2]; got != leafOf(t, want) {
			t.Errorf("reload %d: another certificate is served", n)
		}
	}
	if ok := metric(t, p.ops, "linegate_config_last_reload_successful"); ok != 1 {
		t.Errorf("the last reload was successful: %v", ok)
	}
	crowd.progress()
	if open := metric(t, p.ops, "linegate_sessions_open"); open < 200 {
		t.Errorf("%v sessions are open", open)
	}
	crowd.end()
	var after resources
	waitUntil(t, fmt.Sprintf("at rest as before, with %+v", before), func() bool {
		after = crowd.atRest()
		return after.goroutines <= before.goroutines && after.files <= before.files
	})
	t.Logf("%d lines answered, %d visits; at rest %+v", crowd.answered.Load(), crowd.visits.Load(), after)
	p.signal(syscall.SIGTERM)
	if said := <-faults; len(said) > 0 {
		t.Errorf("logged: %q", said)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// crowd is sessions that talk and visitors that come and go, over plain TCP and
// TLS. Whatever goes otherwise than asked is a problem.
type crowd struct {
	t       *testing.T
	process *process
	trust   *x509.CertPool
	token   string

	stopped  atomic.Bool
	running  sync.WaitGroup
	talkers  []*atomic.Int64 // answers that each has had
	answered atomic.Int64
	visits   atomic.Int64

	mu       sync.Mutex
	problems []string
}

// talk starts n sessions, one in ten with the other token, and visitors.
func (c *crowd) talk(n int, other string) {
	for i := range n {
		token := c.token
		if i%10 == 0 {
			token = other
		}
		said := new(atomic.Int64)
		c.talkers = append(c.talkers, said)
		c.running.Go(func() { c.problem(c.session(i, token, said)) })
	}
	for i := range 2 {
		c.running.Go(func() {
			for ; !c.stopped.Load(); i++ {
				c.problem(c.visit(i))
				c.visits.Add(1)
			}
		})
	}
	c.t.Cleanup(c.end)
	c.progress()
}

// session pings and has its words returned by turns, until the crowd ends.
func (c *crowd) session(i int, token string, said *atomic.Int64) error {
	s, err := c.login(i, token)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	for n := 0; !c.stopped.Load(); n++ {
		line, want := "ping", "pong"
		if n%2 == 1 {
			line = fmt.Sprint("session ", i, " line ", n)
			want = "from server: " + line
		}
		if err := s.exchange(line, want); err != nil {
			return fmt.Errorf("session %d, line %d: %w", i, n, err)
		}
		said.Add(1)
		c.answered.Add(1)
		time.Sleep(pause)
	}
	return nil
}

func (c *crowd) visit(i int) error {
	s, err := c.login(i, c.token)
	if err != nil {
		return fmt.Errorf("visit: %w", err)
	}
	defer s.conn.Close()
	return s.exchange("ping", "pong")
}

// probe tells whether a token lets in.
func (c *crowd) probe(token string, want bool) {
	c.t.Helper()
	for i := range 2 {
		s, err := c.login(i, token)
		if (err == nil) != want {
			c.t.Errorf("let in: %v, want %t", err, want)
		}
		if s != nil {
			s.conn.Close()
		}
	}
}

// certificate is the one that the TLS listener shows.
func (c *crowd) certificate() string {
	c.t.Helper()
	conn, err := c.dial(1)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	return string(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw)
}

func (c *crowd) dial(i int) (net.Conn, error) {
	if i%2 == 0 {
		return net.Dial("tcp", c.process.device)
	}
	return tls.Dial("tcp", c.process.secure, &tls.Config{RootCAs: c.trust, ServerName: "localhost"})
}

func (c *crowd) login(i int, token string) (*talker, error) {
	conn, err := c.dial(i)
	if err != nil {
		return nil, err
	}
	s := &talker{conn, bufio.NewReader(conn)}
	if err := s.exchange("AUTH "+token, "OK AUTH "); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (c *crowd) problem(err error) {
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.problems = append(c.problems, err.Error())
	}
}

func (c *crowd) said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problems[:min(len(c.problems), 20)]
}

// progress waits until each session has had another answer.
func (c *crowd) progress() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 60*time.Second)
	defer cancel()
	for i, said := range c.talkers {
		for before := said.Load(); said.Load() == before; time.Sleep(time.Millisecond) {
			if ctx.Err() != nil {
				c.t.Fatalf("session %d has no answer; problems: %q", i, c.said())
			}
		}
	}
}

func (c *crowd) end() {
	if c.stopped.Swap(true) {
		return
	}
	c.running.Wait()
	for _, p := range c.said() {
		c.t.Error(p)
	}
}

// resources are what a process has.
type resources struct{ goroutines, files float64 }

// atRest waits until no connection is open.
func (c *crowd) atRest() resources {
	c.t.Helper()
	c.process.waitMetric("linegate_connections_open", 0)
	least := resources{math.Inf(1), math.Inf(1)}
	for range 5 { // a scrape has a connection of its own
		least.goroutines = min(least.goroutines, metric(c.t, c.process.ops, "go_goroutines"))
		least.files = min(least.files, metric(c.t, c.process.ops, "process_open_fds"))
	}
	return least
}

// talker is a client that waits for an answer before it says more.
type talker struct {
	conn net.Conn
	in   *bufio.Reader
}

// exchange passes over what comes unasked.
func (s *talker) exchange(line, want string) error {
	_ = s.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(s.conn, line+"\n"); err != nil {
		return err
	}
	for {
		got, err := s.in.ReadString('\n')
		switch {
		case err == nil && strings.HasPrefix(got, "NOTICE "):
		case err != nil || !strings.HasPrefix(got, want):
			return fmt.Errorf("to %.20q came %q, %w", line, got, err)
		default:
			return nil
		}
	}
}

func trustOf(t *testing.T, authorities ...*certtest.Authority) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	for _, a := range authorities {
		text, err := os.ReadFile(a.CA)
		if err != nil || !pool.AppendCertsFromPEM(text) {
			t.Fatalf("%s: %v", a.CA, err)
		}
	}
	return pool
}

func leafOf(t *testing.T, a *certtest.Authority) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.Cert, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.Clone(pair.Certificate[0]))
}
