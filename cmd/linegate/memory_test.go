package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
)

// Sessions fill the memory that the program may have: before it is used up,
// whoever comes is told to come back, and under TLS not even a handshake is done.
// The sessions that are there go on, and when some have left, others get in.
func TestMemoryRunsOut(t *testing.T) {
	issuer := authtest.Serve(t)
	certs := certtest.New(t)
	inDir(t, configuration(issuer, twoPorts(certs), "session: {idle_timeout: 1h, max_line: 1MiB, max_outbound: 4MiB}"))
	const limit = 96 << 20
	command := newCommand()
	command.Env = []string{fmt.Sprint("GOMEMLIMIT=", limit)}
	p := launch(t, command).listens()

	var live []*answers
	for i := range 10 {
		live = append(live, p.loggedIn(issuer.Token(authtest.Sub(fmt.Sprint("live-", i)))))
	}
	// Each of these is in the middle of a long line, for which it holds memory.
	part := strings.Repeat("x", 1<<20-1)
	var full []*answers
	for p.metric("linegate_memory_short") == 0 {
		s := p.login(issuer.Token(authtest.Sub(fmt.Sprint("full-", len(full)))))
		s.Buffer(nil, 2<<20)
		if !s.Scan() || !strings.HasPrefix(s.Text(), "OK AUTH ") {
			if !strings.HasPrefix(s.Text(), "BYE temporarily_unavailable action=retry retry_after=") {
				t.Fatalf("answer %q", s.Text())
			}
			break
		}
		if full = append(full, s); len(full) > 2*limit>>20 {
			t.Fatalf("%d sessions of a MiB each fit into %d", len(full), limit)
		}
		if _, err := io.WriteString(s.conn, part); err != nil {
			t.Fatal(err)
		}
	}
	p.nextRecord("memory is short, new connections are told to come back")
	t.Logf("%d sessions in the middle of a line", len(full))
	if p.metric("linegate_memory_short") != 1 {
		t.Error("linegate_memory_short is not 1")
	}
	for range 50 {
		p.login(issuer.Token()).want("BYE temporarily_unavailable action=retry retry_after=")
		nc, err := net.Dial("tcp", p.secure)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		if err := tls.Client(nc, &tls.Config{RootCAs: certs.Roots(), ServerName: "localhost"}).Handshake(); err == nil {
			t.Error("a handshake was done")
		}
		nc.Close()
		p.live(live...)
	}
	for _, s := range full {
		s.say("") // the line is complete: it is answered
		s.want("from server: x")
	}
	p.live(append(live, full...)...)

	for _, s := range full {
		s.conn.Close()
	}
	p.nextRecord("memory is no longer short")
	again := p.login(issuer.Token(authtest.Sub("again")))
	again.want("OK AUTH v=1 sub=again ")
	p.live(append(live, again)...)
}
