package trials

import (
	"context"
	"fmt"
	"sync"
	"testing"

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
	for range size.rounds {
		alone.add(g.pings(size.good, size.rate, size.round, token))
		over := g.storm(iss, size.logins, &answers)
		beside.add(g.pings(size.good, size.rate, size.round, token))
		over()
	}

	r := newReport(t)
	alone.report(r, "alone")
	beside.report(r, "beside the storm")
	r.none(fmt.Sprintf("of %d logins failed", answers.n), answers.except("OK AUTH"), &answers)
	with, without := beside.p99(), alone.p99()
	limit := max(2*without, latencyFloor)
	row := fmt.Sprintf("p99 of pings, %d a second, beside %d logins a second", size.rate, size.logins)
	if size.compared {
		r.asked(with <= limit, row, "at most "+ms(limit), ms(with))
	} else {
		r.told(row, ms(with))
	}
	r.told("  without them", ms(without))
	r.told("  p50 with and without", ms(beside.p50())+", "+ms(alone.p50()))
	r.told("the gateway's processor time a second, with and without", fmt.Sprintf("%.3f s, %.3f s", beside.cpu(), alone.cpu()))
}

// storm has devices log in, that many a second, until over is called and the last
// has its answer.
func (g *gateway) storm(iss *authtest.Issuer, rate int, answers *tally) (over func()) {
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for i := range paced(int(patience.Seconds())*rate, rate) {
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
