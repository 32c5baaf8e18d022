package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"net"
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
	trust := authorities[0].Roots()
	trust.AddCert(authorities[1].Own().Leaf)
	crowd := &crowd{clients: newClients(t), process: p, trust: trust, token: main.Token()}
	if err := crowd.probe(authorities[1], extra.Token(), true); err != nil { // whatever a first login needs is there
		t.Fatal(err)
	}
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
		if err := crowd.probe(authorities[n%2], extra.Token(), n%4 != 0); err != nil {
			t.Errorf("reload %d: %v", n, err)
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
	lines := int64(0)
	for _, answered := range crowd.answered {
		lines += answered.Load()
	}
	t.Logf("%d lines answered, %d visits; at rest %+v", lines, crowd.visits.Load(), after)
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
	*clients
	process *process
	trust   *x509.CertPool
	token   string
	visits  atomic.Int64
}

// talk starts n sessions, one in ten with the other token, and visitors.
func (c *crowd) talk(n int, other string) {
	for i := range n {
		token := c.token
		if i%10 == 0 {
			token = other
		}
		answered := new(atomic.Int64)
		c.answered = append(c.answered, answered)
		c.running.Go(func() {
			if err := c.session(i, token, answered); err != nil {
				c.problem("session %d: %v", i, err)
			}
		})
	}
	for i := range 2 {
		c.running.Go(func() {
			for ; !c.stopped(); i++ {
				if err := c.visit(i); err != nil {
					c.problem("visit: %v", err)
					return
				}
				c.visits.Add(1)
			}
		})
	}
	c.progress()
}

// session pings and has its words returned by turns, until the crowd ends.
func (c *crowd) session(i int, token string, answered *atomic.Int64) error {
	s, err := c.login(i, token)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	for n := 0; !c.stopped(); n++ {
		line, want := "ping", "pong"
		if n%2 == 1 {
			line = fmt.Sprint("session ", i, " line ", n)
			want = "from server: " + line
		}
		if err := s.exchange(line, want); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		answered.Add(1)
		time.Sleep(pause)
	}
	return nil
}

func (c *crowd) visit(i int) error {
	s, err := c.login(i, c.token)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	return s.exchange("ping", "pong")
}

// probe tells whether a certificate of this authority is served, and a token lets
// in or not, as it must.
func (c *crowd) probe(authority *certtest.Authority, token string, in bool) error {
	for i := range 2 {
		s, err := c.dial(i, authority.Roots())
		if err != nil {
			return err
		}
		err = s.exchange("AUTH "+token, "OK AUTH ")
		s.conn.Close()
		if (err == nil) != in {
			return fmt.Errorf("let in: %v, want %t", err, in)
		}
	}
	return nil
}

func (c *crowd) login(i int, token string) (*answers, error) {
	s, err := c.dial(i, c.trust)
	if err != nil {
		return nil, err
	}
	if err := s.exchange("AUTH "+token, "OK AUTH "); err != nil {
		s.conn.Close()
		return nil, err
	}
	return s, nil
}

func (c *crowd) dial(i int, trust *x509.CertPool) (*answers, error) {
	var conn net.Conn
	var err error
	if i%2 == 0 {
		conn, err = net.Dial("tcp", c.process.device)
	} else {
		conn, err = tls.Dial("tcp", c.process.secure, &tls.Config{RootCAs: trust, ServerName: "localhost"})
	}
	if err != nil {
		return nil, err
	}
	s := &answers{c.t, conn, bufio.NewScanner(conn)}
	s.Split(wholeLines)
	return s, nil
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
