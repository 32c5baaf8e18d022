package session

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// A dialogue is a file of testdata/dialogues: what client and gateway say to
// each other, line by line. Its directives are
//
//	rules KEY=VALUE ...   the session's rules where they are not the default;
//	                      chance=0.5: what is random comes out half-way
//	C: text               the client sends text and LF
//	C> text               the client sends text alone
//	FIN                   the client ends its stream
//	S: line               the gateway sends line
//	T: duration           time passes
//	WALL: duration        the wall clock is set forward, or back
//	VERDICT               a token named slow... is judged now
//	TRUST key state [s]   how tokens of this key stand from now on, and the grace
//	PUSH text             the backend pushes a line, if it may
//	OTHER token           another connection logs in, and has its answer
//	ANNOUNCE seconds      the gateway is told to say that it goes away
//	STOP code seconds     the gateway is told to end the session
//	END reason            the connection ends for reason, nothing unread
//
// Texts are written with Go's escapes. Tokens and texts with a meaning are
// those of the cast.
type dialogue struct {
	name   string
	rules  Rules
	limits Limits
	chance float64 // 0 <= chance < 1
	steps  []step
}

type step struct {
	line int // in the file
	verb string
	text string
}

func dialogues(t testing.TB) []dialogue {
	t.Helper()
	names, err := filepath.Glob("testdata/dialogues/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	var all []dialogue
	for _, name := range names {
		d, err := readDialogue(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, d)
	}
	return all
}

func readDialogue(path string) (dialogue, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return dialogue{}, err
	}
	d := dialogue{name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	scanner := bufio.NewScanner(strings.NewReader(string(content)))
	for n := 1; scanner.Scan(); n++ {
		line := scanner.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		if verb == "rules" {
			if err := d.setRules(rest); err != nil {
				return d, fmt.Errorf("line %d: %w", n, err)
			}
			continue
		}
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(rest, `"`, `\"`) + `"`)
		if err != nil {
			return d, fmt.Errorf("line %d: %w", n, err)
		}
		switch verb {
		case "C:":
			text += "\n"
		case "C>", "FIN", "S:", "T:", "WALL:", "VERDICT", "TRUST", "PUSH", "OTHER", "ANNOUNCE", "STOP", "END":
		default:
			return d, fmt.Errorf("line %d: no directive %q", n, verb)
		}
		d.steps = append(d.steps, step{n, verb, text})
	}
	if len(d.steps) == 0 || d.steps[len(d.steps)-1].verb != "END" {
		return d, errors.New("a dialogue ends with END")
	}
	return d, nil
}

func (d *dialogue) setRules(pairs string) error {
	for pair := range strings.SplitSeq(pairs, " ") {
		key, value, _ := strings.Cut(pair, "=")
		duration, _ := time.ParseDuration(value)
		size, _ := strconv.Atoi(value)
		switch key {
		case "idle_timeout":
			d.rules.IdleTimeout = duration
		case "auth_timeout":
			d.rules.AuthTimeout = duration
		case "max_line":
			d.rules.MaxLine = size
		case "max_auth_line":
			d.rules.MaxAuthLine = size
		case "max_outbound":
			d.rules.MaxOutbound = size
		case "lines_per_second":
			d.rules.LinesPerSecond = size
		case "sessions_per_subject":
			d.limits.SessionsPerSubject = size
		case "on_excess":
			d.limits.ReplaceOldest = value == "replace"
		case "chance":
			d.chance, _ = strconv.ParseFloat(value, 64)
		default:
			return fmt.Errorf("no rule %q", key)
		}
	}
	return nil
}

// The cast: the authenticator and the backend of the dialogues.

// castToken judges a token by its name: "alice.300" is alice for 300 s, and
// "alice.300.b" another token of hers. The issuer is "issuer", but for tokens
// that end in ".elsewhere", and the key is k1, but for those that end in ".k2".
// Every other word is refused as it says.
func castToken(token string, now time.Time) (*auth.Identity, error) {
	name := strings.TrimPrefix(token, "slow-")
	switch name {
	case "forged":
		return nil, &auth.Error{Outcome: auth.Signature, IssuerName: "main"}
	case "stale":
		return nil, &auth.Error{Outcome: auth.Expired, IssuerName: "main"}
	case "noscope":
		return nil, &auth.Error{Outcome: auth.Scope, IssuerName: "main"}
	case "nokeys":
		return nil, &auth.Error{Outcome: auth.KeysUnavailable, IssuerName: "main", RetryAfter: 2500 * time.Millisecond}
	case "broken":
		return nil, errors.New("the authenticator has a fault")
	}
	subject, rest, _ := strings.Cut(name, ".")
	life, _, _ := strings.Cut(rest, ".")
	seconds, err := strconv.ParseFloat(strings.ReplaceAll(life, "_", "."), 64)
	if err != nil {
		return nil, &auth.Error{Outcome: auth.Format}
	}
	issuer := "issuer"
	if strings.HasSuffix(rest, ".elsewhere") {
		issuer = "elsewhere"
	}
	if subject == "hostile" {
		subject = "a b\nBYE draining%"
	}
	identity := &auth.Identity{
		Grant:   &auth.Grant{IssuerName: "main", Issuer: issuer, Thumbprint: "k1"},
		Subject: subject, Expires: now.Add(time.Duration(seconds * float64(time.Second))),
		Digest: sha256.Sum256([]byte(token)),
	}
	if strings.HasSuffix(rest, ".k2") {
		identity.Thumbprint = "k2"
	}
	if strings.HasSuffix(rest, ".capped") {
		identity.MaxLifetime = 100 * time.Second
	}
	return identity, nil
}

// castTrust is how the tokens of each key stand; without one, all do.
type castTrust struct {
	mu   sync.Mutex
	keys map[string]auth.Standing
}

func (c *castTrust) Standing(identity *auth.Identity) auth.Standing {
	if c == nil {
		return auth.Standing{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys[identity.Thumbprint]
}

// set does as a TRUST directive says.
func (c *castTrust) set(text string) {
	key, text, _ := strings.Cut(text, " ")
	word, grace, _ := strings.Cut(text, " ")
	state := slices.Index([]string{"stands", "departing", "departed", "withdrawn"}, word)
	if state < 0 {
		panic("no state " + word)
	}
	seconds, _ := strconv.Atoi(grace)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = map[string]auth.Standing{}
	}
	c.keys[key] = auth.Standing{State: auth.State(state), Grace: time.Duration(seconds) * time.Second}
}

// castBackend echoes, and takes no message that says "refuse me".
type castBackend struct{ Echo }

func (b castBackend) Message(s *Session, text []byte, r *Reply) error {
	if string(text) == "refuse me" {
		return errors.New("the bus is down")
	}
	return b.Echo.Message(s, text, r)
}

// castAuth is the cast's Authenticator: a token named slow... waits for
// judge, all others are judged at once.
type castAuth struct {
	*castTrust
	now   func() time.Time
	asked chan struct{} // told when a slow token comes
	judge chan struct{}
}

func (a castAuth) Verify(ctx context.Context, token string, _ auth.Proof) (*auth.Identity, error) {
	if strings.HasPrefix(token, "slow-") {
		a.asked <- struct{}{}
		select {
		case <-a.judge:
		case <-ctx.Done():
			return nil, &auth.Error{Outcome: auth.KeysUnavailable, IssuerName: "main"}
		}
	}
	return castToken(token, a.now())
}

// TestDialoguesSayEveryCode keeps the dialogues complete: each code that a
// session can say stands in one of them.
func TestDialoguesSayEveryCode(t *testing.T) {
	said := map[string]bool{}
	for _, d := range dialogues(t) {
		for _, s := range d.steps {
			if r := wire.Parse([]byte(s.text)); s.verb == "S:" && (r.Verb == wire.Err || r.Verb == wire.Bye) {
				said[r.Word] = true
			}
		}
	}
	for code := wire.InvalidRequest; code <= wire.InternalError; code++ {
		if !said[code.String()] {
			t.Errorf("no dialogue says %s", code)
		}
	}
}
