package trials

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// TestLoginStorm is sessions that ping, alone and beside devices that come with
// tokens that were never seen, log in and go, in an open loop: as many a second as
// were asked for, however long each takes.
//
// Rounds with the storm take turns with rounds without, so that both meet the same
// machine.
func TestLoginStorm(t *testing.T) {
	t.Parallel()
	size := sizes().storm
	iss := authtest.Serve(t)
	g := start(t, "limits: {unauthenticated: 10000}", trusted(iss, "jwks: {cooldown: 1s}"))
	token := iss.Token()
	var alone, beside goodHalf
	var answers tally
	var stormed time.Duration
	for range size.rounds {
		alone.add(g.pings(size.good, size.rate, size.round, token))
		begun, over := time.Now(), g.storm(iss, size.logins, &answers)
		beside.add(g.pings(size.good, size.rate, size.round, token))
		over()
		stormed += time.Since(begun)
	}

	r := newReport(t)
	alone.report(r, "alone")
	beside.report(r, "beside the storm")
	r.none(fmt.Sprintf("of %d logins failed", answers.n), answers.except("OK AUTH"), &answers)
	rate := float64(answers.n) / stormed.Seconds()
	r.askedIf(size.compared, rate >= 0.9*float64(size.logins), "  a second", fmt.Sprintf("at least %.0f", 0.9*float64(size.logins)), fmt.Sprintf("%.0f", rate))
	row := fmt.Sprintf("p99 of pings, %d a second, beside %d logins a second", size.rate, size.logins)
	r.p99(size.compared, row, max(2*alone.typical(99), latencyFloor), beside, alone)
}

// storm has devices log in, that many a second, until over is called and the last
// has its answer.
func (g *gateway) storm(iss *authtest.Issuer, rate int, answers *tally) (over func()) {
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for i := range paced(math.MaxInt, rate) {
			if ctx.Err() != nil {
				return
			}
			all.Go(func() { answers.count(g.login(iss.Token(authtest.Sub(fmt.Sprint("device-", i))))) })
		}
	})
	return func() {
		stop()
		all.Wait()
	}
}
