package session

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/steady"
)

// TestDialoguesOverSockets plays every dialogue against a session behind real
// TCP and real TLS: whole, and with every byte sent by itself, under TLS those of
// its records as well.
func TestDialoguesOverSockets(t *testing.T) {
	transports := map[string]pairs{
		"tcp": tcpPair, "tls": tlsPairs(t, tcpPair), "tls in bytes": tlsPairs(t, bytePair),
	}
	for transport, pair := range transports {
		for _, d := range dialogues(t) {
			t.Run(transport+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				playLive(t, d, pair, func(text string) []string { return []string{text} })
				playLive(t, d, pair, func(text string) []string { return strings.Split(text, "") })
			})
		}
	}
}

func playLive(t *testing.T, d dialogue, pair pairs, cut func(string) []string) {
	t.Helper()
	clock := newTestClock()
	cast := castAuth{
		castTrust: new(castTrust), now: clock.wall, asked: make(chan struct{}, 1), judge: make(chan struct{}),
	}
	srv := castServer(t, d.rules, clock, cast)
	srv.jitter = func(n int64) int64 { return int64(d.chance * float64(n)) }
	srv.SetLimits(d.limits)
	var other atomic.Bool // it is another session that is let in
	srv.newID = func() string {
		if other.Load() {
			return rand.Text()
		}
		return "S"
	}
	client, server := pair(t)
	defer client.Close()
	// Nothing in a dialogue takes this long in earnest.
	if err := client.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	s, ended := serve(srv, server)
	in := bufio.NewReader(client)
	for _, step := range d.steps {
		fatal := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("line %d: %s %q: "+format, append([]any{step.line, step.verb, step.text}, args...)...)
		}
		switch step.verb {
		case "C:", "C>":
			for _, part := range cut(step.text) {
				if _, err := io.WriteString(client, part); err != nil {
					fatal("%v", err)
				}
			}
			// Time must not pass before the session has come so far.
			if strings.Contains(step.text, "AUTH slow-") {
				<-cast.asked
			}
		case "FIN":
			steady.EndStream(client)
		case "S:":
			if line, err := in.ReadString('\n'); err != nil || line != step.text+"\n" {
				fatal("got %q, %v", line, err)
			}
		case "T:", "WALL:":
			by, err := time.ParseDuration(step.text)
			if err != nil {
				fatal("%v", err)
			}
			if step.verb == "T:" {
				clock.add(by, by)
			} else {
				clock.add(0, by)
			}
			s.wake()
			s.awaitHeeded()
		case "VERDICT":
			cast.judge <- struct{}{}
		case "PUSH":
			if err := s.Push([]byte(step.text)); err != nil && !errors.Is(err, ErrSlow) && !errors.Is(err, ErrClosed) {
				fatal("%v", err)
			}
		case "TRUST":
			cast.set(step.text)
			srv.Review()
			s.awaitHeeded()
		case "OTHER":
			other.Store(true)
			near, far := pair(t)
			defer near.Close()
			connectAs(t, srv, near, far, step.text)
			other.Store(false)
		case "ANNOUNCE":
			n, _ := strconv.Atoi(step.text)
			s.Announce(time.Duration(n) * time.Second)
		case "STOP":
			s.End(stopOrder(step.text))
		case "END":
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				fatal("unread: %q, %v", rest, err)
			}
			client.Close()
			if got := (<-ended).String(); got != step.text {
				fatal("ended for %s", got)
			}
		}
	}
}

// awaitHeeded returns when the session has looked at its orders and the clock,
// or ended.
func (s *Session) awaitHeeded() {
	for {
		s.mu.Lock()
		heeded := !s.orders.any || s.orders.deaf
		s.mu.Unlock()
		if heeded {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
}
