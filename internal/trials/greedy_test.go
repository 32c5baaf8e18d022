package trials

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/load"
)

// TestSlowAndGreedy is clients that ping now and then, alone and beside as many that
// send all they can and read only little of what they are answered, and as many that
// send all they can, above lines_per_second, and read it all.
//
// Rounds with those take turns with rounds without, so that both meet the same
// machine. The write time-out is long: on a machine that is busy with other things,
// the kernel may see a slow client take nothing for some seconds.
func TestSlowAndGreedy(t *testing.T) {
	t.Parallel()
	size := sizes().greedy
	iss := authtest.Serve(t)
	l := &greedyLoad{
		gateway: start(t, fmt.Sprintf("limits: {unauthenticated: 10000}\nsession: {write_timeout: 60s, lines_per_second: %d, max_outbound: %dKiB}",
			size.linesPerSecond, size.maxOutbound>>10),
			trusted(iss, "jwks: {cooldown: 1s}")),
		size: size, token: iss.Token(),
	}
	for range size.rounds {
		l.alone.add(l.good())
		l.beside.add(l.goodBeside())
	}

	r := newReport(t)
	l.alone.report(r, "alone")
	l.beside.report(r, "beside the others")
	row := fmt.Sprintf("p99 of pings, %d a second, beside %d slow and %d greedy clients", size.rate, size.slow, size.greedy)
	with, without := l.beside.p99(), l.alone.p99()
	limit := max(without*13/10, without+greedyFloor)
	if size.compared {
		r.asked(with <= limit, row, "at most "+ms(limit), ms(with))
	} else {
		r.told(row, ms(with))
	}
	r.told("  without them", ms(without))
	r.told("  p50 with and without", ms(l.beside.p50())+", "+ms(l.alone.p50()))
	r.told("  each round's p99 with", fmt.Sprint(l.beside.each()))
	r.told("  each round's p99 without", fmt.Sprint(l.alone.each()))
	r.told("the gateway's processor time a second, with and without", fmt.Sprintf("%.3f s, %.3f s", l.beside.cpu(), l.alone.cpu()))
	r.asked(l.tooFast == 0, fmt.Sprintf("lines of greedy clients served above %d a second", size.linesPerSecond), "none", fmt.Sprint(l.tooFast))
	r.told("  served a second of each", fmt.Sprintf("%.1f", float64(l.answers)/float64(size.greedy)/l.watched.Seconds()))
	r.told("resident memory beside them, at the peak", mib(l.peak))
}

// greedyFloor is by how much a p99 may be longer on a machine that has other things
// to do, without meaning anything.
const greedyFloor = 100 * time.Microsecond

type greedyLoad struct {
	*gateway
	size          greedySize
	token         string
	alone, beside goodHalf
	answers       int64 // to greedy clients, while they were
	watched       time.Duration
	tooFast       int // answers
	peak          int
}

// good is what the good ones measure.
func (l *greedyLoad) good() *load.Result {
	l.t.Helper()
	return l.pings(l.size.good, l.size.rate, l.size.round, l.token)
}

// pings has sessions ping, that many a second all together, and measures.
func (g *gateway) pings(sessions, rate int, during time.Duration, token string) *load.Result {
	g.t.Helper()
	result, err := load.Run(context.Background(), load.Config{
		Mode: load.Ping, Address: g.address, Tokens: []string{token}, Connections: sessions,
		Rate: rate, Duration: during, Warmup: time.Second, Timeout: patience,
		PID: g.process.Process.Pid,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return result
}

// goodBeside has the others there meanwhile.
func (l *greedyLoad) goodBeside() *load.Result {
	l.t.Helper()
	over := others{
		Address: l.address, Token: l.token, Slow: l.size.slow, Greedy: l.size.greedy,
		Read: l.size.read, ReadEvery: l.size.readEvery,
		LinesPerSecond: l.size.linesPerSecond, MaxOutbound: l.size.maxOutbound,
	}.start(l.t)
	result := l.good()
	l.peak = max(l.peak, l.resident())
	s := over()
	l.answers += s.Answers
	l.watched += s.During
	l.tooFast += s.TooFast
	return result
}

// goodHalf is what the rounds of a kind measured.
type goodHalf []*load.Result

func (h *goodHalf) add(r *load.Result) { *h = append(*h, r) }

func (h goodHalf) report(r *report, when string) {
	pings, failed := 0, 0
	for _, result := range h {
		pings += result.Messages
		failed += result.Failed
	}
	r.asked(failed == 0, fmt.Sprintf("of %d pings, %s, clients that failed", pings, when), "none", fmt.Sprint(failed))
}

// each is the p99 of each round.
func (h goodHalf) each() (all []time.Duration) {
	for _, result := range h {
		all = append(all, result.Latency.Percentile(99))
	}
	return all
}

// p99 is the median of the rounds'.
func (h goodHalf) p99() time.Duration { return quantile(h.each(), 0.5) }

// p50 is the median of the rounds', too.
func (h goodHalf) p50() time.Duration {
	var all []time.Duration
	for _, result := range h {
		all = append(all, result.Latency.Percentile(50))
	}
	return quantile(all, 0.5)
}

// cpu is the gateway's processor time a second.
func (h goodHalf) cpu() float64 {
	var used, elapsed time.Duration
	for _, result := range h {
		used += result.Server.CPU
		elapsed += result.Elapsed
	}
	return used.Seconds() / elapsed.Seconds()
}
