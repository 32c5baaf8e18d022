package load

import (
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// Strangers beside the sessions are all refused for their signature, and the
// sessions go on.
func TestStrangers(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		s := newSite(t, nil)
		c := s.to(Config{Mode: Ping, Connections: 4, Rate: 100, Duration: 300 * time.Millisecond}, secure)
		c.Strangers = &Strangers{Rate: 100}
		r := do(t, c)
		for r.Strangers.Attempts == 0 { // a busy machine may take a while for the first
			r = do(t, c)
		}
		got := r.Strangers
		if got.Outcomes["bye invalid_token"] != got.Attempts || r.Messages == 0 {
			t.Errorf("%+v, %d messages", got, r.Messages)
		}
		if s.metric(t, `linegate_auth_attempts_total{issuer="main",kind="login",outcome="signature"}`) < got.Attempts {
			t.Error("the gateway has refused fewer")
		}
	})
}

// A token for strangers differs from a good one in its signature alone, and no
// two are alike.
func TestBadToken(t *testing.T) {
	good := authtest.New(t).Token()
	one, other := badToken(good), badToken(good)
	dot := strings.LastIndexByte(good, '.')
	if one == other || one == good || len(one) != len(good) || one[:dot+1] != good[:dot+1] {
		t.Error("not as it should be")
	}
}
