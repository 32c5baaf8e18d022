package trials

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// TestNeverReading is clients that send without a pause and never read. The gateway
// keeps a bounded number of answers for each, then reads no more from it, and ends
// it when it has taken nothing for write_timeout.
func TestNeverReading(t *testing.T) {
	t.Parallel()
	size := sizes().unread
	iss := authtest.Serve(t)
	g := start(t, fmt.Sprintf("session: {write_timeout: %v}", size.writeTimeout), trusted(iss, "jwks: {cooldown: 1s}"))
	for _, m := range g.crowded(size.clients, 1, iss.Token()) { // fills pools, and grows what grows once
		m.Close()
	}
	before := g.settled()
	resident, ended := g.resident(), g.metric(slowConsumers)

	var took time.Duration
	peak := g.peakDuring(func() {
		members := g.crowded(size.clients, 100, iss.Token())
		begun := time.Now()
		var all sync.WaitGroup
		for _, m := range members {
			all.Go(m.send)
		}
		all.Wait()
		took = time.Since(begun)
		for _, m := range members {
			m.Close()
		}
	})
	after := g.settled()

	r := newReport(t)
	slow := g.metric(slowConsumers) - ended
	r.asked(slow == float64(size.clients), fmt.Sprintf("of %d clients that never read ended as slow consumers", size.clients), "all", fmt.Sprint(slow))
	limit := size.writeTimeout + size.writeTimeout/8 + closing + size.slack
	r.asked(took <= limit, "  the last, since they began to send", "at most "+ms(limit), ms(took))
	each := (peak - resident) / size.clients
	r.asked(each <= size.resident, "  resident memory for each, at the peak", "at most "+mib(size.resident), mib(each))
	r.growth(before, after)
}

const slowConsumers = `linegate_connections_closed_total{reason="slow_consumer"}`

func (g *gateway) crowded(n, width int, token string) []*member {
	g.t.Helper()
	members, err := g.crowd(n, width, token)
	if err != nil {
		g.t.Fatal(err)
	}
	return members
}
