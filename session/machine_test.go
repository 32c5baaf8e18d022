package session

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// TestDialoguesWithoutIO plays every dialogue against the machine alone: whole,
// byte by byte, and cut once at every byte.
func TestDialoguesWithoutIO(t *testing.T) {
	for _, d := range dialogues(t) {
		t.Run(d.name, func(t *testing.T) {
			longest := 0
			for _, s := range d.steps {
				longest = max(longest, len(s.text))
			}
			cuts := []struct {
				name string
				cut  func(text string) []string
			}{
				{"whole", func(text string) []string { return []string{text} }},
				{"bytes", func(text string) []string { return strings.Split(text, "") }},
			}
			for at := 1; at < min(longest, 300); at++ {
				cuts = append(cuts, struct {
					name string
					cut  func(text string) []string
				}{fmt.Sprintf("cut at %d", at), func(text string) []string {
					return []string{text[:min(at, len(text))], text[min(at, len(text)):]}
				}})
			}
			for _, c := range cuts {
				if err := playMachine(d, c.cut); err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
			}
		})
	}
}

// bench holds a machine and plays the world around it.
type bench struct {
	m       machine
	now     moment
	in      []byte
	reply   Reply
	out     []byte
	backend castBackend
	trust   castTrust
	chance  float64
	slow    bool // the machine's token waits for VERDICT

	known  *registry
	self   Session // as the registry knows the machine's
	others int
}

var epoch = time.Unix(1_800_000_000, 0)

func (b *bench) id() string { return "S" }

func (b *bench) jitter(n int64) int64 { return int64(b.chance * float64(n)) }

// admit does as the session's.
func (b *bench) admit(identity *auth.Identity) bool {
	_, ok := b.join(&b.self, identity)
	return ok
}

func (b *bench) join(s *Session, identity *auth.Identity) (replaced []*Session, ok bool) {
	s.sessionID = fmt.Sprint("S", b.others)
	s.machine.identity.Store(identity)
	b.others++
	return b.known.add(s)
}

// other logs in on another connection.
func (b *bench) other(token string) error {
	identity, err := castToken(token, time.Unix(0, b.now.wall))
	if err != nil {
		return err
	}
	replaced, _ := b.join(new(Session), identity)
	if slices.Contains(replaced, &b.self) {
		b.m.finish(wire.Replaced, 0, &b.reply)
	}
	return nil
}

func (b *bench) message(text []byte, r *Reply) error { return b.backend.Message(nil, text, r) }

func (b *bench) attempted(attemptKind, *auth.Identity, error, time.Duration) {}

func newBench(rules Rules) *bench {
	rules = rules.withDefaults()
	b := &bench{now: moment{wall: epoch.UnixNano()}, known: newRegistry()}
	b.reply.maxLine = rules.MaxLine
	b.m.start(b.now, &rules, b)
	return b
}

// run does what a session's loop does, until the machine waits.
func (b *bench) run() {
	for {
		b.m.tick(b.now, &b.reply)
		taken, late := b.m.input(b.now, b.in, &b.reply)
		b.in = b.in[taken:]
		full := late || len(b.reply.buf) >= maxBatch
		b.out = append(b.out, b.reply.buf...)
		b.reply.buf = b.reply.buf[:0]
		switch {
		case b.m.need() == needVerdict && !b.slow && !strings.HasPrefix(b.m.token, "slow-"):
			b.verdict()
		case !full:
			return
		}
	}
}

func (b *bench) verdict() {
	identity, err := castToken(b.m.token, time.Unix(0, b.now.wall))
	b.m.verdict(b.now, identity, err, &b.reply)
	b.review()
}

func (b *bench) review() {
	if identity := b.m.identity.Load(); identity != nil {
		b.m.review(b.now, b.trust.Standing(identity))
	}
}

// push does as Session.Push.
func (b *bench) push(text string) error {
	if b.m.stage != open && b.m.stage != renewing {
		return nil
	}
	line, err := wire.AppendData(nil, []byte(text), b.m.rules.MaxLine)
	if err != nil {
		return err
	}
	if len(line) > b.m.rules.MaxOutbound {
		b.m.finish(wire.SlowConsumer, 0, &b.reply)
	} else {
		b.out = append(b.out, line...)
	}
	return nil
}

func (b *bench) pass(d time.Duration) {
	b.now.mono += d
	b.now.wall += int64(d)
}

func playMachine(d dialogue, cut func(string) []string) error {
	b := newBench(d.rules)
	b.chance = d.chance
	b.known.setLimits(d.limits)
	b.run()
	for _, s := range d.steps {
		fail := func(format string, args ...any) error {
			return fmt.Errorf("line %d: %s %q: %s", s.line, s.verb, s.text, fmt.Sprintf(format, args...))
		}
		switch s.verb {
		case "C:", "C>":
			for _, part := range cut(s.text) {
				b.in = append(b.in, part...)
				b.run()
			}
		case "FIN":
			b.m.finish(wire.ClientClosed, 0, &b.reply)
		case "T:", "WALL:":
			by, err := time.ParseDuration(s.text)
			if err != nil {
				return fail("%v", err)
			}
			if s.verb == "T:" {
				b.pass(by)
			} else {
				b.now.wall += int64(by)
			}
		case "VERDICT":
			b.verdict()
		case "PUSH":
			if err := b.push(s.text); err != nil {
				return fail("%v", err)
			}
		case "TRUST":
			b.trust.set(s.text)
			b.review()
		case "OTHER":
			if err := b.other(s.text); err != nil {
				return fail("%v", err)
			}
		case "ANNOUNCE":
			n, _ := strconv.ParseInt(s.text, 10, 64)
			b.m.announce(n, &b.reply)
		case "STOP":
			code, after := stopOrder(s.text)
			b.m.finish(code, wire.Seconds(after), &b.reply)
		}
		b.run()
		switch s.verb {
		case "S:":
			line, rest, found := bytes.Cut(b.out, []byte("\n"))
			if !found || string(line) != s.text {
				return fail("got %q", b.out)
			}
			b.out = rest
		case "END":
			if len(b.out) > 0 {
				return fail("unread: %q", b.out)
			}
			if b.m.need() != needNothing || b.m.end.String() != s.text {
				return fail("ended: %v, for %v", b.m.need() == needNothing, b.m.end)
			}
		}
	}
	return nil
}

func stopOrder(text string) (wire.Code, time.Duration) {
	word, after, _ := strings.Cut(text, " ")
	n, _ := strconv.Atoi(after)
	for _, code := range wire.EndReasons() {
		if code.String() == word {
			return code, time.Duration(n) * time.Second
		}
	}
	panic("no end reason " + word)
}

// TestReauthIn holds reauth_in to 70 to 85 % of expires_in, at least 1.
func TestReauthIn(t *testing.T) {
	for left := int64(0); left < 5000; left++ {
		for _, chance := range []func(int64) int64{
			func(int64) int64 { return 0 },
			func(n int64) int64 { return n - 1 },
		} {
			m := machine{host: chanceHost{chance}}
			got := m.reauthIn(left)
			if got < 1 || left > 6 && (got*100 < left*70 || got*100 > left*85) {
				t.Fatalf("expires_in=%d: reauth_in=%d", left, got)
			}
		}
	}
}

type chanceHost struct{ chance func(int64) int64 }

func (chanceHost) id() string                                                  { return "" }
func (h chanceHost) jitter(n int64) int64                                      { return h.chance(n) }
func (chanceHost) admit(*auth.Identity) bool                                   { return true }
func (chanceHost) message([]byte, *Reply) error                                { return nil }
func (chanceHost) attempted(attemptKind, *auth.Identity, error, time.Duration) {}

// TestExpiryBeyondTheClock: an exp that no clock reaches is as good as never.
func TestExpiryBeyondTheClock(t *testing.T) {
	b := newBench(Rules{})
	b.m.stage = checking
	b.m.verdict(b.now, &auth.Identity{Grant: new(auth.Grant), Subject: "a", Expires: time.Unix(1<<53, 0)}, nil, &b.reply)
	if b.m.stage != open || b.m.next(b.now) != b.m.rules.IdleTimeout {
		t.Fatalf("stage %d, next %v: %s", b.m.stage, b.m.next(b.now), b.reply.buf)
	}
}
