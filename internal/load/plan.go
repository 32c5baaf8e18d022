package load

import (
	"bytes"
	"net/netip"
	"sync/atomic"
	"time"
)

// plan is what all devices of a run share, read-only but for the counters.
type plan struct {
	Config
	dialect      *dialect
	target       netip.AddrPort
	clock        time.Time
	pings, pongs []byte // Pipeline of them

	floodDialect *dialect
	floodTarget  netip.AddrPort

	left        atomic.Int64  // of Count
	logins      atomic.Int64  // begun in mode login
	connections atomic.Uint32 // begun, for their sources
}

// moment is a time of the run: since its clock began.
type moment = time.Duration

func newPlan(c Config) (*plan, error) {
	dialect, err := dialectOf(c.Protocol)
	if err != nil {
		return nil, err
	}
	p := &plan{
		Config: c, dialect: dialect, clock: time.Now(),
		pings: bytes.Repeat([]byte(dialect.ping), c.Pipeline),
		pongs: bytes.Repeat([]byte(dialect.pong), c.Pipeline),
	}
	if c.Strangers != nil {
		p.floodDialect, err = dialectOf(c.Strangers.Protocol)
	}
	return p, err
}

func (p *plan) now() moment { return time.Since(p.clock) }

// claim returns how many of n may be asked for.
func (p *plan) claim(n int) int {
	return max(0, min(n, n+int(p.left.Add(int64(-n)))))
}

// tokenOf returns the token of device, or login, i.
func (p *plan) tokenOf(i int) string {
	if len(p.Tokens) == 0 {
		return ""
	}
	return p.Tokens[i%len(p.Tokens)]
}
