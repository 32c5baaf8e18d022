package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/logtest"
	"github.com/linegate/linegate/internal/oplog"
)

// TestAttacksOverTheWire sends every token of the table to a whole gateway: the
// reply, the metric and the log record are those of its outcome, the connection
// ends, nobody is called to where a token points, and nothing of any token is
// told to anybody.
func TestAttacksOverTheWire(t *testing.T) {
	a := authtest.NewAttacks(t, authtest.Serve)
	s := besieged(t, a)
	s.all("TCP", a, func(s *siege, attack authtest.Attack) {
		if attack.Client == nil {
			s.login(attack, false)
		}
	})
	s.all("TLS", a, func(s *siege, attack authtest.Attack) { s.login(attack, true) })
	s.all("renewal", a, func(s *siege, attack authtest.Attack) {
		// What stands behind an LF would be a message.
		if attack.Outcome != auth.OK && attack.Client == nil && !strings.Contains(attack.Token, "\n") {
			s.renewal(attack, a.Good)
		}
	})
	_, metrics := s.get("/metrics")
	_, readiness := s.get("/readyz")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if n := a.Visits(); n > 0 {
		t.Errorf("%d connections to where tokens point", n)
	}
	told := map[string]bool{} // every 16 bytes that could be of a token
	for part := range secrets(s.log.String() + metrics + readiness) {
		told[part] = true
	}
	for _, attack := range a.Rows {
		_, secret, _ := strings.Cut(attack.Token, ".") // the header is none
		for part := range secrets(secret) {
			if told[part] {
				t.Errorf("%s: %q of the token was told", attack, part)
			}
		}
	}
}

// besieged starts a gateway that trusts the issuers of the table, and whose
// clocks stand still at its time.
func besieged(t *testing.T, a *authtest.Attacks) *siege {
	t.Helper()
	log := new(logtest.Log)
	r := startWith(t, func(c *config.Config) {
		standard := c.Issuers[0]
		c.Issuers = nil
		for _, want := range a.Configs() {
			i := standard
			i.Name, i.Issuer, i.Audience, i.RequiredScopes = want.Name, want.Issuer, want.Audience, want.RequiredScopes
			i.Algorithms = want.Algorithms
			if want.TokenTypes != nil {
				i.TokenTypes = want.TokenTypes
			}
			i.JWKS.Cooldown = time.Millisecond // each unknown kid waits for a fetch
			c.Issuers = append(c.Issuers, i)
		}
		c.Session.MaxAuthLine = authtest.MaxAuthLine
		c.Listen[1].TLS.ClientCA, c.Listen[1].TLS.ClientAuth = a.Clients.CA, "optional"
	}, func(o *Options) {
		o.Now = func() time.Time { return a.Now }
		// Without what bounds the repeats: each attack has its record.
		o.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	r.log = log
	for _, iss := range a.Issuers() {
		r.waitFor("keys of "+iss.Name, func() bool { return r.metric("linegate_jwks_keys", `issuer="`+iss.Name+`"`) > 0 })
	}
	s := &siege{running: r, more: map[string]float64{}}
	s.attempts = s.counts()
	return s
}

// siege is a gateway that is attacked by one client after the other.
type siege struct {
	*running
	attempts map[string]float64 // the series of linegate_auth_attempts_total, as last seen
	more     map[string]float64 // what they must show more next time
}

// all makes every attack, and looks at the metric after each group.
func (s *siege) all(name string, a *authtest.Attacks, do func(*siege, authtest.Attack)) {
	t := s.t.(*testing.T)
	t.Run(name, func(t *testing.T) {
		for rows := a.Rows; len(rows) > 0; {
			n := slices.IndexFunc(rows, func(attack authtest.Attack) bool { return attack.Group != rows[0].Group })
			if n < 0 {
				n = len(rows)
			}
			t.Run(rows[0].Group, func(t *testing.T) {
				for _, attack := range rows[:n] {
					t.Run(attack.Name, func(t *testing.T) { do(s.in(t), attack) })
				}
				s.in(t).expectCounted()
			})
			rows = rows[n:]
		}
	})
}

// in has failures reported by t.
func (s *siege) in(t *testing.T) *siege {
	r := *s.running
	r.t = t
	return &siege{running: &r, attempts: s.attempts, more: s.more}
}

// login offers a token as the first line of a connection.
func (s *siege) login(attack authtest.Attack, secure bool) {
	s.t.Helper()
	logged := s.log.Len()
	d := s.dialAs(attack.Client, secure)
	d.offer(attack.Token)
	want := expected(attack)
	said := d.expect(want.bye)
	checkSilent(s.t, "reply", said, attack.Token)
	switch {
	case !want.counted:
		_, err := io.Copy(io.Discard, d.in) // a reset, perhaps: it sends more than anybody takes
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.t.Error("the connection stays")
		}
		return
	case want.outcome == auth.OK:
		d.Close()
	default:
		d.expectEnd()
	}
	s.expectRecord(d, logged, "login refused", want)
	s.more[want.series("login")]++
}

// offer sends an AUTH line, which may be longer than the gateway takes.
func (d *device) offer(token string) {
	d.t.Helper()
	if line := "AUTH " + token; len(line) > authtest.MaxAuthLine {
		go say(d, line+"\n")
	} else {
		d.say(line)
	}
}

// renewal offers a token in a session, which goes on as it was.
func (s *siege) renewal(attack authtest.Attack, good string) {
	s.t.Helper()
	logged := s.log.Len()
	d := s.dial(false)
	d.say("AUTH " + good)
	d.expect("OK AUTH v=1 ")
	s.more[verdict{issuer: "main", outcome: auth.OK}.series("login")]++
	d.offer(attack.Token)
	want := expected(attack)
	if !want.counted {
		d.expect("BYE line_too_long action=fix :")
		return
	}
	d.expect(want.err)
	d.say("ping")
	d.expect("pong\n")
	d.Close()
	s.expectRecord(d, logged, "renewal refused", want)
	s.more[want.series("renewal")]++
}

// verdict is what must come of a line.
type verdict struct {
	bye, err string // how the reply begins; and in a session, all of it
	counted  bool   // as an attempt
	outcome  auth.Outcome
	claim    string
	issuer   string
	kid      string
}

// expected is the verdict on an attack, which may end at what is no AUTH line.
func expected(attack authtest.Attack) verdict {
	v := verdict{counted: true, outcome: attack.Outcome, claim: attack.Claim, issuer: attack.IssuerName, kid: attack.KeyID}
	line, _, _ := strings.Cut("AUTH "+attack.Token, "\n")
	switch {
	case len(line) > authtest.MaxAuthLine:
		v.counted = false
		v.bye = "BYE invalid_request action=fix :"
	case strings.Trim(line[len("AUTH "):], tokenBytes) != "":
		v.bye, v.err = "BYE invalid_request action=fix :", "ERR invalid_request for=auth action=fix\n"
	case attack.Outcome == auth.OK:
		v.bye = "OK AUTH v=1 sub="
	case attack.Outcome == auth.Scope:
		v.bye, v.err = "BYE insufficient_scope action=fix :", "ERR insufficient_scope for=auth action=fix\n"
	default:
		v.bye, v.err = "BYE invalid_token action=reauth :", "ERR invalid_token for=auth action=reauth\n"
	}
	return v
}

const tokenBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

func (v verdict) series(kind string) string {
	return fmt.Sprintf("linegate_auth_attempts_total{issuer=%q,kind=%q,outcome=%q}", v.issuer, kind, v.outcome)
}

// expectRecord waits for the one record of a client's attempt since the log had
// so many bytes.
func (s *siege) expectRecord(d *device, since int, refused string, want verdict) {
	s.t.Helper()
	msg := refused
	if want.outcome == auth.OK {
		msg = "session opened"
	}
	var found []map[string]any
	s.waitFor(`logged as "`+msg+`"`, func() bool {
		found = nil
		for line := range strings.Lines(s.log.Since(since)) {
			var record map[string]any
			if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == msg && record["remote"] == d.LocalAddr().String() {
				found = append(found, record)
			}
		}
		return len(found) > 0
	})
	record := found[0]
	if len(found) > 1 {
		s.t.Errorf("%d records: %v", len(found), found)
	}
	if record["issuer"] != want.issuer || want.outcome != auth.OK &&
		(record["outcome"] != want.outcome.String() || record["claim"] != want.claim || record["kid"] != oplog.Foreign(want.kid).String()) {
		s.t.Errorf("record %v\nwant outcome %v, issuer %q, kid %q, claim %q", record, want.outcome, want.issuer, want.kid, want.claim)
	}
	for _, name := range []string{"subject", "client_id", "token_id"} {
		if record[name] != nil && slices.Contains(unverified, want.outcome) {
			s.t.Errorf("record %v\nhas a %s that nobody has verified", record, name)
		}
	}
	if record["iss"] != nil && want.outcome != auth.Issuer {
		s.t.Errorf("record %v\nhas the iss of a configured issuer", record)
	}
}

// unverified are the outcomes of tokens whose signature is not the issuer's, or
// was not looked at.
var unverified = []auth.Outcome{auth.Format, auth.Algorithm, auth.Signature, auth.Issuer, auth.UnknownKey, auth.KeysUnavailable}

// expectCounted looks at the metric again.
func (s *siege) expectCounted() {
	s.t.Helper()
	for series, n := range s.counts() {
		if grown := n - s.attempts[series]; grown != s.more[series] {
			s.t.Errorf("%s: %v more, want %v", series, grown, s.more[series])
		}
		s.attempts[series] = n
	}
	clear(s.more)
}

func (s *siege) counts() map[string]float64 {
	s.t.Helper()
	counts := map[string]float64{}
	_, body := s.get("/metrics")
	for line := range strings.Lines(body) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(series, "linegate_auth_attempts_total{") {
			counts[series], _ = strconv.ParseFloat(value, 64)
		}
	}
	return counts
}

// secrets are all 16 bytes in a row that could be of a payload or signature.
func secrets(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start := 0
		for i := range len(text) {
			if strings.IndexByte(tokenBytes[:64], text[i]) < 0 {
				start = i + 1
			} else if i+1-start >= 16 && !yield(text[i-15:i+1]) {
				return
			}
		}
	}
}
