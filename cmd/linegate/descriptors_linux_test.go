package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linegate/linegate/auth/authtest"
)

// With few descriptors, and limits above what they bear, the program is full of
// sessions: whoever comes is told so, however many there are, while metrics can be
// scraped and keys be fetched. Then there is not one descriptor left: sessions are
// served, the log says so once a second, and who came meanwhile is let in as soon
// as there are some.
func TestDescriptorsRunOut(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, strings.Replace(configuration(issuer, onePort, "limits: {connections: 100000}", "session: {idle_timeout: 1h, auth_timeout: 1m}"),
		"audience:", "jwks: {cooldown: 100ms}, audience:", 1))
	const files = 320
	p := launch(t, exec.Command("/bin/sh", "-c", fmt.Sprint("ulimit -n ", files, ` && exec "$0" "$@"`),
		os.Args[0], "serve", "--config", "linegate.yaml")).listens()
	bears := p.metric("linegate_connections_limit")
	if bears < 10 || bears > files/2 {
		t.Fatalf("%d descriptors bear %d connections", files, bears)
	}

	var sessions []*answers
	for i := range bears {
		sessions = append(sessions, p.loggedIn(issuer.Token(authtest.Sub(fmt.Sprint("device-", i)))))
	}
	excess := make([]net.Conn, files) // more than there are descriptors; none is closed by its client
	for i := range excess {
		nc, err := net.Dial("tcp", p.device)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		excess[i] = nc
	}
	p.live(sessions...)
	if fetched := p.metric("linegate_connections_open"); fetched < bears {
		t.Errorf("%d connections are open", fetched)
	}
	issuer.Rotate()
	sessions[0].say("AUTH " + issuer.Token(authtest.Sub("device-0"))) // waits for a fetch
	sessions[0].want("OK AUTH ")
	for _, nc := range excess {
		_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
		if said, err := io.ReadAll(nc); !strings.HasPrefix(string(said), "BYE too_many_sessions ") {
			t.Fatalf("in excess: %q, %v", said, err)
		}
	}

	// From here on no descriptor can be opened, though there are places.
	for _, s := range sessions[:5] {
		s.conn.Close()
	}
	sessions = sessions[5:]
	p.waitMetric("linegate_sessions_open", len(sessions))
	p.limit(unix.RLIMIT_NOFILE, 3)
	late := p.login(issuer.Token(authtest.Sub("late")))
	first := p.nextRecord("accepting a connection failed")
	for n := 1; n <= 3; n++ {
		p.live(sessions...)
		// It has the time of the latest failure in its second, which is over.
		next := p.nextRecord("accepting a connection failed")
		if after, least := next.Time.Sub(first.Time), time.Duration(n)*time.Second-500*time.Millisecond; after < least || next.Suppressed == 0 {
			t.Errorf("record %d comes %v after the first, and stands for %d more", n, after, next.Suppressed)
		}
	}
	again := time.Now()
	p.limit(unix.RLIMIT_NOFILE, files)
	late.want("OK AUTH v=1 sub=late ")
	if took := time.Since(again); took > time.Second {
		t.Errorf("let in %v after there were descriptors again", took)
	}
	if p.metric("linegate_accept_errors_total") == 0 {
		t.Error("no failure was counted")
	}
	p.live(append(sessions, late)...)
}
