package soak

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the oracle of a soak finds, and what it lets pass: a soak that finds
// nothing says no more than these rows do.
func TestOracle(t *testing.T) {
	const ok = "OK AUTH v=1 sub=alice session=S1 expires_in=60 reauth_in=45 idle_timeout=30 max_line=8192"
	type talk = *dialogue
	login := func(d talk) { d.ask(auth(alice())); d.hear([]byte(ok)) }
	hear := func(lines ...string) func(talk) {
		return func(d talk) {
			for _, line := range lines {
				d.hear([]byte(line))
			}
		}
	}
	ask := func(requests ...request) func(talk) { return func(d talk) { d.ask(requests...) } }
	withdrawn := func(d talk) { d.withdraw(func(*token) bool { return true }) }
	for _, row := range []struct {
		name  string
		steps []func(talk)
		finds string // in the only finding; empty: nothing is found
	}{
		{"a session in order", []func(talk){
			login, ask(message(" one \r"), ping(), auth(alice())),
			hear("from server: one", "NOTICE reauth expires_in=3", "pong", ok),
		}, ""},
		{"an answer to another", []func(talk){login, ask(message("one"), message("two")), hear("from server: two")}, `answers a message "one"`},
		{"an answer twice", []func(talk){login, ask(ping()), hear("pong", "pong")}, "answers nothing"},
		{"an answer of another kind", []func(talk){login, ask(ping()), hear("from server: ping")}, "answers a ping"},
		{"part of an answer", []func(talk){login, ask(message("one")), hear("from server: on")}, "answers a message"},
		{"a backend that fails", []func(talk){login, ask(message("one")), hear("ERR backend_unavailable for=message action=retry")}, "answers a message"},
		{"a line of no kind", []func(talk){login, ask(ping()), hear("pang")}, "answers a ping"},
		{"an answer before the session", []func(talk){ask(auth(alice()), ping()), hear("pong")}, "not authenticated"},
		{"a notice before the session", []func(talk){ask(auth(alice())), hear("NOTICE reauth expires_in=3")}, "not authenticated"},
		{"somebody else's session", []func(talk){ask(auth(alice())), hear(strings.Replace(ok, "alice", "bob", 1))}, `session of "bob"`},
		{"another session by a renewal", []func(talk){login, ask(auth(alice())), hear(strings.Replace(ok, "S1", "S2", 1))}, `"S1" became "S2"`},
		{"a line behind the BYE", []func(talk){login, kicked, hear("BYE token_revoked action=reauth :x", "pong")}, "after the end"},
		{"the end before the answer to AUTH", []func(talk){ask(auth(alice())), end(nil)}, "without a BYE"},
		{"such an end on a bad way", []func(talk){bad, ask(auth(alice())), end(nil)}, ""},
		{"the end without a BYE", []func(talk){login, end(nil)}, "without a BYE"},
		{"a reset", []func(talk){login, end(syscall.ECONNRESET)}, "without a BYE"},
		{"a reset on a bad way", []func(talk){bad, login, end(syscall.ECONNRESET)}, ""},
		{"a write behind such a reset", []func(talk){login, end(syscall.EPIPE)}, "without a BYE"},
		{"a write behind the reset of a session that was kicked", []func(talk){login, kicked, end(syscall.EPIPE)}, ""},
		{"a reset of a session that was kicked", []func(talk){login, kicked, end(syscall.ECONNRESET)}, ""},
		{"the end of a session that was kicked", []func(talk){login, kicked, end(nil)}, "without a BYE"},
		{"an error of reading", []func(talk){login, end(io.ErrUnexpectedEOF)}, "without a BYE"},
		{"the end that was asked for", []func(talk){login, ask(ping()), talk.leave, hear("pong"), end(nil)}, ""},
		{"the end before an answer", []func(talk){login, ask(ping()), talk.leave, end(nil)}, "1 complete lines were not answered"},

		{"revoked, and nothing was", []func(talk){login, hear("BYE token_revoked action=reauth :x")}, "for no reason"},
		{"revoked", []func(talk){login, kicked, hear("BYE token_revoked action=reauth :x")}, ""},
		{"served behind a kick", []func(talk){login, kicked, withdrawn, ask(ping()), hear("pong")}, "withdrawn"},
		{"served what was under way", []func(talk){login, ask(ping()), kicked, withdrawn, hear("pong")}, ""},
		{"idle at once", []func(talk){login, hear("BYE idle_timeout action=retry :x")}, "for no reason"},
		{"idle", []func(talk){login, long, hear("BYE idle_timeout action=retry :x")}, ""},
		{"expired before its time", []func(talk){login, hear("BYE token_expired action=reauth :x")}, "for no reason"},
		{"its key removed, and it is there", []func(talk){login, hear("BYE key_removed action=reauth :x")}, "for no reason"},
		{"its key removed", []func(talk){login, removed, hear("BYE key_removed action=reauth :x")}, ""},
		{"slow, and it reads", []func(talk){login, hear("BYE slow_consumer action=retry :x")}, "for no reason"},
		{"replaced, and nobody came", []func(talk){login, hear("BYE replaced action=none :x")}, "for no reason"},
		{"replaced", []func(talk){login, talk.yield, hear("BYE replaced action=none :x")}, ""},
		{"drained, and nothing is", []func(talk){login, hear("BYE draining action=retry :x")}, "for no reason"},
		{"drained", []func(talk){login, func(d talk) { d.drain() }, hear("NOTICE draining retry_after=3", "BYE draining action=retry :x")}, ""},
		{"lines for a client that is gone", []func(talk){login, talk.gone, hear("pong"), end(nil)}, ""},
		{"a fault of the gateway", []func(talk){login, hear("BYE internal_error action=retry :x")}, "for no reason"},
		{"a fault in a renewal", []func(talk){login, ask(auth(alice())), hear("ERR internal_error for=auth action=retry")}, "for no reason"},

		{"a good token refused", []func(talk){ask(auth(alice())), hear("BYE invalid_token action=reauth :x")}, "for no reason"},
		{"a token refused whose key is removed", []func(talk){ask(auth(alice())), removed, hear("BYE invalid_token action=reauth :x")}, ""},
		{"a good renewal refused", []func(talk){login, ask(auth(alice())), hear("ERR invalid_token for=auth action=reauth")}, "for no reason"},
		{"not checked, with a key that is known", []func(talk){used, ask(auth(alice())), hear("BYE temporarily_unavailable action=retry :x")}, "for no reason"},
		{"not checked, with a new key", []func(talk){ask(auth(alice())), hear("BYE temporarily_unavailable action=retry :x")}, ""},
		{"too late, at once", []func(talk){hear("BYE auth_timeout action=retry :x")}, "for no reason"},
		{"a revoked token refused", []func(talk){revokedNow(false), ask(auth(alice())), hear("BYE invalid_token action=reauth :x")}, ""},
		{"a revoked token let in", []func(talk){revokedNow(false), ask(auth(alice())), hear(ok)}, "a token was accepted that is revoked"},
		{"let in again", []func(talk){revokedNow(true), ask(auth(alice())), hear(ok)}, ""},
		{"refused though it was taken back", []func(talk){revokedNow(true), ask(auth(alice())), hear("BYE invalid_token action=reauth :x")}, "for no reason"},
		{"an expired token let in", []func(talk){ask(auth(expired())), hear(ok)}, "accepted that is expired"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := new(oracle)
			d := newDialogue(o, newDeeds(), "client", false)
			for _, step := range row.steps {
				step(d)
			}
			wants(t, o, row.finds)
		})
	}
}

// wants that there is one finding that tells this, or none.
func wants(t *testing.T, o *oracle, text string) {
	t.Helper()
	found := o.found()
	if strings.Contains(strings.Join(found, "\n"), alice().text) {
		t.Errorf("a token is shown in %q", found)
	}
	switch {
	case text == "" && len(found) > 0:
		t.Errorf("found %q, and nothing is wrong", found)
	case text != "" && (len(found) != 1 || !strings.Contains(found[0], text)):
		t.Errorf("found %q; want one with %q", found, text)
	}
}

func alice() *token {
	return &token{text: "eyJ-alice", subject: "alice", id: "t1", key: "k1", issued: time.Now().Truncate(time.Second), expires: time.Now().Add(time.Minute)}
}

func expired() *token {
	t := alice()
	t.expires = time.Now().Add(-time.Second)
	return t
}

func bad(d *dialogue)     { d.faulty = true }
func kicked(d *dialogue)  { d.kick("S1") }
func removed(d *dialogue) { d.remove("k1") }
func long(d *dialogue)    { d.spoke = d.spoke.Add(-time.Minute) }

// used makes the key one that the gateway has had for some time.
func used(d *dialogue) { d.used["k1"] = time.Now().Add(-time.Second) }

func end(err error) func(*dialogue) { return func(d *dialogue) { d.end(err) } }

func revokedNow(takenBack bool) func(*dialogue) {
	return func(d *dialogue) {
		r := &revocation{subject: "alice"}
		d.revoke(r)
		d.revoked(r, time.Now().Add(time.Second))
		if takenBack {
			d.lift(r)
			d.lifted(r)
		}
	}
}

// A stranger hears one BYE at most.
func TestOracleOfStrangers(t *testing.T) {
	for _, row := range []struct {
		name  string
		heard []string
		finds string
	}{
		{"nothing", nil, ""},
		{"a BYE", []string{"BYE invalid_token action=reauth :x"}, ""},
		{"an answer", []string{"pong"}, "was told"},
		{"an answer behind the BYE", []string{"BYE invalid_token action=reauth :x", "pong"}, "was told"},
		{"two BYEs", []string{"BYE invalid_token action=reauth :x", "BYE draining action=retry :x"}, "told more"},
		{"let in", []string{"OK AUTH v=1 sub=alice session=S1"}, "was told"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := stranger{oracle: new(oracle), name: "stranger"}
			for _, line := range row.heard {
				s.hear([]byte(line))
			}
			wants(t, s.oracle, row.finds)
		})
	}
}

// Each scrape is compared with the one before, and adds up.
func TestOracleOfMetrics(t *testing.T) {
	const before = `# TYPE linegate_connections_accepted_total counter
linegate_connections_accepted_total{listener="a b"} 10
linegate_connections_accepted_total{listener="tls"} 5
# TYPE linegate_connections_open gauge
linegate_connections_open 3
# TYPE linegate_connections_closed_total counter
linegate_connections_closed_total{reason="client_closed"} 12
# TYPE linegate_panics_total counter
linegate_panics_total 0
# TYPE linegate_auth_duration_seconds histogram
linegate_auth_duration_seconds_bucket{le="+Inf"} 7
linegate_auth_duration_seconds_sum 1e-05
linegate_auth_duration_seconds_count 7
`
	for _, row := range []struct{ name, old, new, finds string }{
		{"nothing happens", "", "", ""},
		{"accepted and open", "accepted_total{listener=\"tls\"} 5", "accepted_total{listener=\"tls\"} 6", "accepted 16, but open 3 and closed 12"},
		{"a gauge falls, and closed does not rise", "open 3", "open 2", "accepted 15, but open 2"},
		{"a panic", "panics_total 0", "panics_total 1", "panics_total is 1"},
		{"a part of a histogram falls", "_count 7", "_count 6", "a counter fell"},
		{"a series that goes", "linegate_auth_duration_seconds_count 7\n", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := new(oracle)
			o.check(sampleOf(t, before), sampleOf(t, strings.Replace(before, row.old, row.new, 1)))
			wants(t, o, row.finds)
		})
	}
	if _, err := parse("linegate_connections_open many\n"); err == nil {
		t.Error("what is no number is a sample")
	}
}

// Each connection that was made is accepted, and nothing that was not.
func TestOracleOfConnections(t *testing.T) {
	for _, row := range []struct {
		name  string
		made  int64
		finds string
	}{
		{"as many", 15, ""},
		{"one more made", 16, "16 connections were made, and 15 accepted"},
		{"one more accepted", 14, "14 connections were made, and 15 accepted"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := new(oracle)
			o.tally(row.made, sampleOf(t, `linegate_connections_accepted_total{listener="a b"} 10
linegate_connections_accepted_total{listener="tls"} 5
`))
			wants(t, o, row.finds)
		})
	}
}

// What a round leaves behind is found: one goroutine, one descriptor, more than
// 5 % of memory.
func TestOracleOfWhatIsHeld(t *testing.T) {
	first := held{goroutines: 20, descriptors: 12, resident: 40 << 20, stacks: "of the first", memory: "in detail"}
	for _, row := range []struct {
		name   string
		change func(*held)
		memory bool
		finds  string
	}{
		{"nothing", func(*held) {}, true, ""},
		{"less", func(h *held) { h.goroutines--; h.descriptors--; h.resident /= 2 }, true, ""},
		{"a goroutine", func(h *held) { h.goroutines++ }, false, "after round 3 there are 21 goroutines"},
		{"a descriptor", func(h *held) { h.descriptors++ }, false, "13 descriptors"},
		{"a descriptor for a goroutine", func(h *held) { h.descriptors++; h.goroutines-- }, false, "13 descriptors"},
		{"5 % of memory", func(h *held) { h.resident = 42 << 20 }, true, ""},
		{"more", func(h *held) { h.resident = 42<<20 + 1 }, true, "bytes are resident"},
		{"more where memory cannot be told", func(h *held) { h.resident *= 2 }, false, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := new(oracle)
			after := first
			row.change(&after)
			o.compare(2, first, after, row.memory)
			wants(t, o, row.finds)
		})
	}
}

func sampleOf(t *testing.T, text string) sample {
	t.Helper()
	s, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The log has no errors but those that were asked for, and no token.
func TestOracleOfTheLog(t *testing.T) {
	for _, row := range []struct{ name, log, finds string }{
		{"information", `{"level":"INFO","msg":"session opened"}`, ""},
		{"a warning", `{"level":"WARN","msg":"login refused"}`, ""},
		{"an error", `{"level":"ERROR","msg":"the authenticator panicked"}`, "the authenticator panicked"},
		{"an error that is expected", `{"level":"ERROR","msg":"configuration not reloaded"}`, ""},
		{"a token", `{"level":"WARN","msg":"login refused","error":"eyJhbGci"}`, "a token in the log"},
		{"a race", "==================\nWARNING: DATA RACE\nRead at 0x00c0000b4010 by goroutine 7:", "WARNING: DATA RACE"},
		{"a panic", "panic: runtime error\n\ngoroutine 1 [running]:", "panic: runtime error"},
	} {
		t.Run(row.name, func(t *testing.T) {
			j := newJournal(new(oracle))
			j.expect("configuration not reloaded")
			j.read(strings.NewReader(row.log + "\n"))
			wants(t, j.oracle, row.finds)
		})
	}
}

// Above findings without number there is still what the gateway itself said last:
// its first lines, and not those of its two-hundredth goroutine.
func TestOracleOfAPanicAfterAll(t *testing.T) {
	j := newJournal(new(oracle))
	for range 2 * enough {
		j.find("no metrics")
	}
	j.read(strings.NewReader(`{"level":"INFO","msg":"draining"}` + "\npanic: all goroutines are asleep\n" + strings.Repeat("goroutine 7:\n", 2*longest)))
	found := j.found()
	if want := enough + 2; len(found) != want || !strings.Contains(found[enough], "panic: all goroutines") || found[enough+1] != fmt.Sprintf("and %d more", enough) {
		t.Errorf("found %d, at the end %.200q; want %d, with the panic", len(found), found[len(found)-2:], want)
	}
	if want := []string{`{"level":"INFO","msg":"draining"}`}; !slices.Equal(j.last, want) {
		t.Errorf("the last records are %q, want %q", j.last, want)
	}
}

// What a journal has read says where the gateway listens, and what is counted
// is listed.
func TestJournalTellsPlaces(t *testing.T) {
	j := newJournal(new(oracle))
	j.read(strings.NewReader(`{"level":"INFO","msg":"listening","listener":"plain","address":"127.0.0.1:1"}
{"level":"INFO","msg":"listening","listener":"tls","address":"127.0.0.1:2"}
{"level":"INFO","msg":"listening","listener":"certified","address":"127.0.0.1:5"}
{"level":"INFO","msg":"listening","listener":"balanced","address":"127.0.0.1:6"}
{"level":"INFO","msg":"operator's HTTP","address":"127.0.0.1:3"}
{"level":"WARN","msg":"login refused"}
{"level":"INFO","msg":"admin API","address":"127.0.0.1:4"}
`))
	select {
	case <-j.placed:
	default:
		t.Fatal("not all places are known")
	}
	for name, address := range map[string]string{"plain": "127.0.0.1:1", "tls": "127.0.0.1:2", "balanced": "127.0.0.1:6", "ops": "127.0.0.1:3", "admin": "127.0.0.1:4"} {
		if j.place(name) != address {
			t.Errorf("%s is at %s", name, j.place(name))
		}
	}
	if counted := j.counted(); !slices.Equal(counted, []string{"        1  log: WARN login refused"}) {
		t.Errorf("counted %q", counted)
	}
}
