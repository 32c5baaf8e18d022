package trials

import (
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
	without := l.alone.typical(99)
	r.p99(size.compared, row, max(without*13/10, without+greedyFloor), l.beside, l.alone)
	r.asked(l.tooFast == 0, fmt.Sprintf("lines of greedy clients served above %d a second", size.linesPerSecond), "none", fmt.Sprint(l.tooFast))
	served := float64(l.answers) / float64(size.greedy) / l.watched.Seconds()
	r.askedIf(size.compared, served >= 0.9*float64(size.linesPerSecond), "  served a second of each",
		fmt.Sprintf("at least %.1f", 0.9*float64(size.linesPerSecond)), fmt.Sprintf("%.1f", served))
	r.told("  bytes a second that a slow one reads, of lines of", fmt.Sprintf("%.0f, %d bytes",
		float64(size.read)/size.readEvery.Seconds(), size.slowLine))
	r.told("resident memory beside them, at the end of a round, at most", mib(l.most))
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
	most          int // bytes resident
}

// good is what the good ones measure. Where that is compared, they run before all
// others: that they wait for a processor themselves is nothing the gateway does.
func (l *greedyLoad) good() *load.Result {
	l.t.Helper()
	if l.size.compared {
		defer runFirst(l.t)()
	}
	return l.pings(l.size.good, l.size.rate, l.size.round, l.token)
}

// goodBeside has the others there meanwhile.
func (l *greedyLoad) goodBeside() *load.Result {
	l.t.Helper()
	over := others{
		Address: l.address, Token: l.token, Slow: l.size.slow, Greedy: l.size.greedy,
		SlowLine: l.size.slowLine, Read: l.size.read, ReadEvery: l.size.readEvery,
		LinesPerSecond: l.size.linesPerSecond, MaxOutbound: l.size.maxOutbound, Idle: l.size.compared,
	}.start(l.t)
	result := l.good()
	l.most = max(l.most, l.resident())
	s := over()
	l.answers += s.Answers
	l.watched += s.During
	l.tooFast += s.TooFast
	return result
}
