package load

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"strings"
	"sync"
	"time"
)

// Strangers are those who try to log in with bad tokens beside the sessions
// that are measured: Rate attempts a second at regular times, whatever comes of
// the former ones.
type Strangers struct {
	Rate    int
	Address string // empty: the run's
	// Tokens are good ones, whose signature each attempt replaces by another
	// of the same length: well-formed, and under a key that is known. Nil:
	// the run's.
	Tokens []string
	// Protocol is that of Address; empty: the run's.
	Protocol Protocol
}

// StrangersResult is what became of their attempts.
type StrangersResult struct {
	Rate     int
	Seconds  float64
	Attempts int
	Outcomes map[string]int // by what the server said, or how it ended
}

// maxStrangers is how many may be on their way at once; an attempt beyond is
// counted as one for which there was no room.
const maxStrangers = 2000

// strangers begins the flood. The functions tell what came of it and end it;
// they may be called twice.
func (r *run) strangers(ctx context.Context) (result func() *StrangersResult, stop func()) {
	if r.Strangers == nil {
		return func() *StrangersResult { return nil }, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &flood{plan: r.plan, rate: r.Strangers.Rate, outcomes: map[string]int{}}
	start := time.Now()
	var running sync.WaitGroup
	running.Go(func() { f.run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	return func() *StrangersResult {
		f.mu.Lock()
		defer f.mu.Unlock()
		return &StrangersResult{
			Rate: f.rate, Seconds: time.Since(start).Seconds(), Attempts: f.attempts, Outcomes: f.outcomes,
		}
	}, stop
}

// flood is the strangers of a run.
type flood struct {
	plan *plan
	rate int

	mu       sync.Mutex
	attempts int
	outcomes map[string]int
}

// run starts attempts at their times until ctx is done, and waits for their
// ends.
func (f *flood) run(ctx context.Context) {
	var on sync.WaitGroup
	defer on.Wait()
	places := make(chan struct{}, maxStrangers)
	ticks := time.NewTicker(time.Millisecond)
	defer ticks.Stop()
	start := time.Now()
	for started := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		for due := int(time.Since(start).Seconds() * float64(f.rate)); started < due; started++ {
			select {
			case places <- struct{}{}:
			default:
				f.ended("no room")
				continue
			}
			n := started
			on.Go(func() {
				defer func() { <-places }()
				if outcome := f.attempt(ctx, n); ctx.Err() == nil {
					f.ended(outcome)
				}
			})
		}
	}
}

func (f *flood) ended(outcome string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts++
	f.outcomes[outcome]++
}

// attempt is one stranger's, and returns how it ended.
func (f *flood) attempt(ctx context.Context, n int) (outcome string) {
	p := f.plan
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	_, nc, err := p.dial(ctx, p.floodTarget)
	if err != nil {
		return failureOf(err).kind
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := nc.Write(p.floodDialect.open(nil, badToken(p.Strangers.Tokens[n%len(p.Strangers.Tokens)]))); err != nil {
		return failureOf(err).kind
	}
	line, err := bufio.NewReader(io.LimitReader(nc, maxOdd)).ReadBytes('\n')
	if err != nil {
		return failureOf(err).kind
	}
	switch m := p.floodDialect.opened(line); m.kind {
	case in:
		return "let in"
	case refused:
		return m.failure.kind
	}
	return wrongReply
}

// badToken is a token with another signature of the same length.
func badToken(token string) string {
	dot := strings.LastIndexByte(token, '.')
	signature := make([]byte, base64.RawURLEncoding.DecodedLen(len(token)-dot-1))
	_, _ = rand.Read(signature)
	return token[:dot+1] + base64.RawURLEncoding.EncodeToString(signature)
}
