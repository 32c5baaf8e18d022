package session

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/steady"
)

// TestExpiryOfMany: the sessions whose tokens expire at once all hear it within
// a second, and not all at once.
func TestExpiryOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, Config{Rules: Rules{IdleTimeout: 2 * time.Hour}})
		byes, sessions := manySessions(t, srv, 1000, "BYE ")
		checkSpread(t, byes, len(sessions), "BYE token_expired ", sessions[0].Expires(), byeSpread)
	})
}

// TestRevocationOfMany: so do those that are revoked at once.
func TestRevocationOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authenticator := new(trusted)
		srv := newServer(t, Config{Authenticator: authenticator})
		byes, sessions := manySessions(t, srv, 1000, "BYE ")
		authenticator.set("k1 withdrawn")
		if n := srv.Review(); n != len(sessions) {
			t.Errorf("withdrew %d", n)
		}
		checkSpread(t, byes, len(sessions), "BYE token_revoked ", time.Now(), byeSpread)
	})
}

// TestKeyDepartureIsSpread: the sessions of a key that leaves do not all ask their
// issuer for other tokens at once, and most of the grace is left to each.
func TestKeyDepartureIsSpread(t *testing.T) {
	testKeySpread(t, "departing", "NOTICE reauth ", []keySpread{
		{"20", 5 * time.Second}, {"60", 10 * time.Second}, {"3600", 10 * time.Second},
	})
}

// TestKeyRemovedIsSpread: the sessions of a key that left do not come back as
// one, and not before the grace is over.
func TestKeyRemovedIsSpread(t *testing.T) {
	testKeySpread(t, "departed", "BYE key_removed ", []keySpread{
		{"60", 30 * time.Second}, {"3600", 30 * time.Second}, {"10", 5 * time.Second}, {"0", time.Second},
	})
}

type keySpread struct {
	grace  string // in seconds
	window time.Duration
}

// testKeySpread: what becomes of their key is told to the sessions over the window.
func testKeySpread(t *testing.T, state, prefix string, tests []keySpread) {
	for _, tt := range tests {
		t.Run(tt.grace, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const sessions = 1000
				authenticator := new(trusted)
				srv := newServer(t, Config{Authenticator: authenticator, Rules: Rules{IdleTimeout: time.Hour}})
				lines, _ := manySessions(t, srv, sessions, prefix)
				authenticator.set("k1 " + state + " " + tt.grace)
				srv.Review()
				checkSpread(t, lines, sessions, prefix, time.Now(), tt.window)
			})
		})
	}
}

// manySessions returns the last lines that n authenticated clients read: they
// hang up at the first that begins so.
func manySessions(t *testing.T, srv *Server, n int, prefix string) (last chan string, sessions []*Session) {
	last = make(chan string, n)
	for range n {
		client, server := net.Pipe()
		s, in, ended := connect(t, srv, client, steady.New(server, time.Minute))
		sessions = append(sessions, s)
		go func() {
			line, err := in.ReadString('\n')
			for err == nil && !strings.HasPrefix(line, prefix) {
				line, err = in.ReadString('\n')
			}
			last <- line
			client.Close()
			<-ended
		}()
	}
	return last, sessions
}

// checkSpread: n such lines arrive within the window, and in no tenth of it more
// than twice its share.
func checkSpread(t *testing.T, lines <-chan string, n int, prefix string, start time.Time, window time.Duration) {
	t.Helper()
	var tenths [10]int
	for range n {
		if line := <-lines; !strings.HasPrefix(line, prefix) {
			t.Fatalf("got %q", line)
		}
		at := time.Since(start)
		if at < 0 || at > window {
			t.Fatalf("a line %v after the start of %v", at, window)
		}
		tenths[min(9, int(at*10/window))]++
	}
	for i, k := range tenths {
		if k > 2*n/10 || k < n/20 {
			t.Errorf("%d of %d lines in tenth %d of %v: %v", k, n, i+1, window, tenths)
		}
	}
}
