package trials

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// TestHangingIssuer is an issuer that takes every connection and then says
// nothing, for ever: one whose keys were fetched before, and another that never
// was any different. Its time-out is far away, so that nothing but auth_timeout
// can help.
//
// Rounds in which it hangs take turns with rounds in which it does not, so that
// both meet the same machine.
func TestHangingIssuer(t *testing.T) {
	t.Parallel()
	size := sizes().hanging
	known, dark := authtest.Serve(t, authtest.Named("known")), authtest.Serve(t, authtest.Named("dark"))
	dark.Fail(authtest.Hang)
	const settings = "jwks: {cooldown: 1s, timeout: 60s}"
	load := &hangingLoad{
		gateway: start(t, fmt.Sprintf("session: {auth_timeout: %v}", size.authTimeout), trusted(known, settings), trusted(dark, settings)),
		size:    size, known: known, dark: dark, guesser: newGuesser(t, known),
	}
	t.Cleanup(load.hangUp)
	before := load.settled()
	for round := range size.rounds {
		known.Fail(authtest.Healthy)
		load.run(round, &load.healthy)
		known.Fail(authtest.Hang)
		load.run(round, &load.hanging)
	}
	load.eventually("without connections", patience, func() bool { return load.metric("linegate_connections_open") == 0 })
	gone := time.Since(load.last)
	after := load.settled()

	r := newReport(t)
	load.healthy.report(r, "while the issuer is well", "BYE invalid_token", "BYE temporarily_unavailable") // the other never is
	load.hanging.report(r, "while it hangs", "BYE temporarily_unavailable")
	r.latency(size.compared, "while the issuer hangs", &load.healthy.latencies, &load.hanging.latencies, size.rounds)
	limit := size.authTimeout + size.slack
	r.asked(load.longest < limit, "from a connection to the end of its stream with an unknown key, the longest", "less than "+ms(limit), ms(load.longest))
	limit += closing
	r.asked(gone < limit, "  from the last one to when the gateway had none, though no client hung up",
		"less than "+ms(limit), ms(gone))
	r.growth(before, after)
}

// closing is what may pass between the end of the stream and the close: the
// gateway waits a second for the client's.
const closing = time.Second

// hangingLoad is devices with a known key, that log in and go, and a few whose
// keys are not known.
type hangingLoad struct {
	*gateway
	size        hangingSize
	known, dark *authtest.Issuer
	guesser     guesser

	healthy, hanging hangingHalf

	mu      sync.Mutex
	longest time.Duration // until the end of the stream
	last    time.Time     // when the last whose key is not known began
	open    []net.Conn    // of those: they never hang up
}

// hangingHalf is what the rounds of a kind measured.
type hangingHalf struct {
	answers   tally // to known keys
	latencies latencies
	stranded  tally // unknown ones
}

func (h *hangingHalf) report(r *report, when string, refusals ...string) {
	r.none(fmt.Sprintf("of %d logins with known keys failed %s", h.answers.n, when), h.answers.except("OK AUTH"), &h.answers)
	r.none(fmt.Sprintf("  of %d with unknown ones were told else than %s", h.stranded.n, strings.Join(refusals, " or ")),
		h.stranded.except(refusals...), &h.stranded)
}

// run is one round.
func (l *hangingLoad) run(round int, half *hangingHalf) {
	token := l.known.Token()
	var all sync.WaitGroup
	defer all.Wait()
	for i := range paced(l.size.rate*int(l.size.round.Seconds()), l.size.rate) {
		all.Go(func() {
			a := l.login(token)
			half.answers.count(a)
			half.latencies.add(window{round, i / l.size.rate}, a.took)
		})
		if i%l.size.strandEvery == 0 {
			all.Go(func() { half.stranded.count(l.strand(l.guesser.guess())) })
			all.Go(func() { half.stranded.count(l.strand(l.dark.Token())) })
		}
	}
}

// strand logs in, waits for the end of the stream, and keeps its own half open.
func (l *hangingLoad) strand(token string) answer {
	begun := time.Now()
	c, err := l.dial()
	if err != nil {
		return answer{err: err}
	}
	a := authenticate(c, token, begun)
	_, err = io.Copy(io.Discard, c)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest = max(l.longest, time.Since(begun))
	if l.last.Before(begun) {
		l.last = begun
	}
	l.open = append(l.open, c)
	if err != nil {
		a.line, a.err = "", err
	}
	return a
}

func (l *hangingLoad) hangUp() {
	for _, c := range l.open {
		c.Close()
	}
}
