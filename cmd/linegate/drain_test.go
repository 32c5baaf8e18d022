package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// TestDrainOfAThousand sessions by a process: not ready at once, yet open to
// devices for drain.delay; then closed to them, and the ends come over all of
// drain.timeout (how evenly, gateway.TestShutdownOfAThousand says), each with its
// own time to come back. A second after that the process is gone.
func TestDrainOfAThousand(t *testing.T) {
	const sessions, delay, window = 1000, 4 * time.Second, 6 * time.Second
	issuer := authtest.Serve(t)
	inDir(t, configuration(issuer, onePort, fmt.Sprintf("drain: {delay: %v, timeout: %v}", delay, window), "session: {idle_timeout: 5m}"))
	p := startProgram(t)
	token := issuer.Token()
	farewells := make(chan farewell, sessions+1)
	for range sessions {
		d := p.loggedIn(token)
		go func() { farewells <- bidFarewell(d) }()
	}

	lag := measureLag()
	began := time.Now()
	p.signal(syscall.SIGTERM)
	waitUntil(t, "draining", func() bool {
		status, body := readyz(p.ops)
		return status == http.StatusServiceUnavailable && strings.Contains(body, `"reason": "draining"`)
	})
	if took := time.Since(began); took >= delay {
		t.Errorf("not ready after %v", took)
	}
	late := p.loggedIn(token) // served as long as the balancer may send somebody
	get(t, p.ops+"/healthz", http.StatusOK)

	go func() { farewells <- bidFarewell(late) }()

	all := []farewell{<-farewells}
	if nc, err := net.Dial("tcp", p.device); err == nil {
		nc.Close()
		t.Error("it listens behind the delay")
	}
	for range sessions {
		all = append(all, <-farewells)
	}
	first := slices.MinFunc(all, func(a, b farewell) int { return a.notice.Compare(b.notice) }).notice
	if at := first.Sub(began); at < delay {
		t.Errorf("told %v after the signal", at)
	}
	var tenths [10]int
	returns := map[string]int{}
	for _, f := range all {
		at := min(int(f.bye.Sub(first)*10/window), 9)
		tenths[at]++
		returns[f.returns]++
		if f.problem != "" {
			t.Error(f.problem)
		}
	}
	half := 0
	for _, n := range tenths[:5] {
		half += n
	}
	if half < sessions/8 || half > sessions*7/8 {
		t.Errorf("of %d, %d end in the first half: not spread: %v", sessions, half, tenths)
	}
	t.Logf("ends by tenth of the window: %v; times to come back: %v", tenths, returns)
	for seconds, n := range returns {
		if n > sessions/2 {
			t.Errorf("%d are to come back after %s s", n, seconds)
		}
	}
	if d, err := time.ParseDuration(p.nextRecord("drained").Duration); err != nil || d < delay+window*9/10 {
		t.Errorf("drained in %v, %v; delay and window are %v", d, err, delay+window)
	}
	p.wantEnd(exitOK)
	took, busy := time.Since(began), lag()
	if took > delay+window+time.Second+busy {
		t.Errorf("gone after %v, on a machine that is late by %v", took, busy)
	}
	t.Logf("gone %v after the signal", took)
}

// measureLag measures what a machine that others keep busy adds to a time: the sum
// of the latenesses of a timer.
func measureLag() (sum func() time.Duration) {
	const tick = 10 * time.Millisecond
	stop, total := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var late time.Duration
		for {
			began := time.Now()
			select {
			case <-stop:
				total <- late
				return
			case <-time.After(tick):
				late += time.Since(began) - tick
			}
		}
	}()
	return func() time.Duration {
		close(stop)
		return <-total
	}
}

// farewell is how a session was ended.
type farewell struct {
	notice, bye time.Time
	returns     string // retry_after
	problem     string
}

// bidFarewell reads the end of a session, which must be the end of the stream, and
// lets the process have it.
func bidFarewell(d *answers) (f farewell) {
	const notice, bye = "NOTICE draining retry_after=", "BYE draining action=retry retry_after="
	_ = d.conn.SetReadDeadline(time.Now().Add(2 * time.Minute)) // the drain and what logging in a thousand takes
	if !d.Scan() || !strings.HasPrefix(d.Text(), notice) {
		f.problem = "instead of the notice: " + d.Text()
		return f
	}
	f.notice = time.Now()
	f.returns = strings.TrimPrefix(d.Text(), notice)
	if !d.Scan() || !strings.HasPrefix(d.Text(), bye+f.returns+" ") {
		f.problem = "instead of the BYE with retry_after=" + f.returns + ": " + d.Text()
		return f
	}
	f.bye = time.Now()
	if d.Scan() {
		f.problem = "behind the BYE: " + d.Text()
	}
	d.conn.Close()
	return f
}

// TestSecondSignalEndsTheProcess at once, whatever is left of the window.
func TestSecondSignalEndsTheProcess(t *testing.T) {
	issuer := authtest.Serve(t)
	inDir(t, configuration(issuer, onePort, "drain: {timeout: 1h}"))
	p := startProgram(t)
	d := p.loggedIn(issuer.Token())
	p.signal(syscall.SIGTERM)
	d.want("NOTICE draining ")
	began := time.Now()
	p.signal(syscall.SIGINT)
	if reason := p.nextRecord("session closed").Reason; reason != "forced" {
		t.Errorf("the session is closed for %q", reason)
	}
	p.wantEnd(exitFailed)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if rest, _ := io.ReadAll(bufio.NewReader(d.conn)); len(rest) > 0 {
		t.Errorf("said %q", rest)
	}
}
