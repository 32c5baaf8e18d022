package docstest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/tcptest"
	"github.com/linegate/linegate/session"
	"github.com/linegate/linegate/wire"
)

// The table of codes is wire's: where each may stand, and its action.
func TestCodesOfTheProtocol(t *testing.T) {
	doc := open(t, "protocol.md")
	documented := doc.firsts(doc.rows("code", "in", "action", "when", "what to look at"))
	real := map[string]wire.Code{}
	for code := wire.InvalidRequest; code.InBye() || code.InErr(); code++ {
		real[code.String()] = code
	}
	sameNames(t, "code", documented, real)
	for name, code := range real {
		var in []string
		if code.InBye() {
			in = append(in, "BYE")
		}
		if code.InErr() {
			in = append(in, "ERR")
		}
		row := documented[name]
		if row == nil {
			continue
		}
		if want := strings.Join(in, " "); row[1] != want {
			t.Errorf("%s stands in %s, the document says %s", name, want, row[1])
		}
		if want := code.Action().String(); row[2] != want {
			t.Errorf("%s asks for %s, the document says %s", name, want, row[2])
		}
	}
}

// The conversations are those of a real session: all in a bubble, where time is
// cheap, and over TCP those in which none passes.
func TestConversations(t *testing.T) {
	for _, block := range fences(t, page("protocol.md"), "conversation") {
		t.Run("in a bubble", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				play(t, block, client, server)
			})
		})
		if strings.Contains(block, " pass)") {
			continue
		}
		t.Run("over TCP", func(t *testing.T) {
			client, server := tcptest.Pair(t)
			play(t, block, client, server)
		})
	}
}

// play speaks a conversation with a session line by line. Its directions are
// in parentheses.
func play(t *testing.T, conversation string, client, server net.Conn) {
	trust := new(cast)
	srv, err := session.NewServer(session.Config{Authenticator: trust})
	if err != nil {
		t.Fatal(err)
	}
	s := srv.New(server, nil)
	ended := make(chan wire.Code, 1)
	go func() { ended <- s.Serve() }()
	defer func() { client.Close(); <-ended }()
	if err := client.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(client)
	for line := range strings.Lines(conversation) {
		line = strings.TrimSuffix(line, "\n")
		said, isLine := strings.CutPrefix(line, "S: ")
		sent, isSent := strings.CutPrefix(line, "C: ")
		passed, err := time.ParseDuration(strings.ReplaceAll(strings.Trim(strings.TrimSuffix(line, "pass)"), "() "), " ", ""))
		switch {
		case isSent:
			if _, err := io.WriteString(client, sent+"\n"); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		case isLine:
			got, err := in.ReadString('\n')
			if err != nil || withoutChance(t, got) != withoutChance(t, said+"\n") {
				t.Fatalf("got  %q, %v\nwant %q", got, err, said)
			}
			if strings.HasPrefix(said, "BYE ") {
				if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
					t.Fatalf("after %s: %q, %v", said, rest, err)
				}
			}
		case err == nil:
			time.Sleep(passed) // in a bubble
		case line == "(the gateway begins to drain)":
			s.Announce(3 * time.Second)
		case line == "(this session's turn has come)":
			s.End(wire.Draining, 2*time.Second)
		case line == "(the token is revoked)":
			trust.set(auth.Standing{State: auth.Withdrawn})
			srv.Review()
		case line == "(the key is withdrawn)":
			trust.set(auth.Standing{State: auth.Departing, Grace: time.Minute})
			srv.Review()
		case line == "(the grace is over)":
			trust.set(auth.Standing{State: auth.Departed, Grace: time.Minute})
			srv.Review()
		case line == "(another connection of pump-7 is let in)":
			srv.SetLimits(session.Limits{SessionsPerSubject: 1, ReplaceOldest: true})
			near, far := net.Pipe()
			defer near.Close()
			go srv.New(far, nil).Serve()
			if _, err := io.WriteString(near, "AUTH eyJh.second.c2ln\n"); err != nil {
				t.Fatal(err)
			}
			if got, err := bufio.NewReader(near).ReadString('\n'); !strings.HasPrefix(got, "OK AUTH ") {
				t.Fatalf("the other: %q, %v", got, err)
			}
		case line == "(the client closes)":
			client.Close()
		default:
			t.Fatalf("no direction %q", line)
		}
	}
}

var (
	sessionID = regexp.MustCompile(` session=[A-Z2-7]{26}\b`)
	reauthIn  = regexp.MustCompile(` reauth_in=\d+`)
	// What is left of a minute when a session is asked to renew because its key
	// leaves, at a moment of its own. Any other NOTICE says less.
	keyLeaves = regexp.MustCompile(`^NOTICE reauth expires_in=(5\d|60)\b`)
)

// withoutChance takes out of an OK what differs from run to run. What stands there
// must be possible: reauth_in is checked against expires_in.
func withoutChance(t *testing.T, line string) string {
	t.Helper()
	if r := wire.Parse([]byte(strings.TrimSuffix(line, "\n"))); r.Verb == wire.OKAuth {
		left, renew := r.Seconds("expires_in"), r.Seconds("reauth_in")
		if renew < left*70/100 || renew > left*85/100 {
			t.Errorf("reauth_in is not 70 to 85 %% of expires_in: %s", line)
		}
	}
	line = reauthIn.ReplaceAllString(sessionID.ReplaceAllString(line, " session=*"), " reauth_in=*")
	return keyLeaves.ReplaceAllString(line, "NOTICE reauth expires_in=*")
}

// cast knows the tokens of the document, and how they stand.
type cast struct{ standing atomic.Pointer[auth.Standing] }

func (c *cast) set(s auth.Standing) { c.standing.Store(&s) }

func (c *cast) Standing(*auth.Identity) auth.Standing {
	if s := c.standing.Load(); s != nil {
		return *s
	}
	return auth.Standing{}
}

func (*cast) Verify(_ context.Context, token string, _ auth.Proof) (*auth.Identity, error) {
	subject, life := "pump-7", time.Hour
	switch token {
	case "eyJh.first.c2ln", "eyJh.second.c2ln":
	case "eyJh.short.c2ln":
		life = 40 * time.Second
	case "eyJh.other.c2ln":
		subject = "pump-8"
	case "eyJh.hostile.c2ln":
		subject = "a b\nBYE draining"
	case "eyJh.forged.c2ln":
		return nil, &auth.Error{Outcome: auth.Signature}
	default:
		return nil, errors.New("not in the cast")
	}
	expires := time.Now().Add(life)
	if time.Now().Year() > 2000 { // not in a bubble: time to say OK in
		expires = expires.Add(900 * time.Millisecond)
	}
	return &auth.Identity{
		Grant:   &auth.Grant{IssuerName: "main", Issuer: "https://login.example.com"},
		Subject: subject, Expires: expires, Digest: sha256.Sum256([]byte(token)),
	}, nil
}
