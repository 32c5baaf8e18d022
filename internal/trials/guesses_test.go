package trials

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// TestGuesses is a flood of logins whose tokens each name another key, and there
// is none of these. Hundreds come at once, more than may wait, and whoever was
// refused comes again without a pause. Amid that the issuer rotates its key, and
// devices go on logging in.
func TestGuesses(t *testing.T) {
	t.Parallel()
	size := sizes().guesses
	iss := authtest.Serve(t)
	// An eighth of the strangers may wait.
	limits := fmt.Sprintf("limits: {connections: %d, unauthenticated: %[1]d}\nsession: {auth_timeout: 60s}", 8*size.waiting)
	g := start(t, limits, trusted(iss, fmt.Sprintf("jwks: {cooldown: %v, timeout: 30s}", size.cooldown)))
	f := &flood{gateway: g, guesser: newGuesser(t, iss), size: size}

	// The first part of the flood fills pools, and grows what grows once.
	warm := g.peakDuring(func() { f.run(size.warmUp, nil) })
	before, fetched, begun := g.settled(), iss.Fetches(), time.Now()
	devices := newDeviceLoad(g, size.devices, iss.Token())
	var key newKey
	peak := g.peakDuring(func() {
		var all sync.WaitGroup
		defer all.Wait()
		half, over := make(chan struct{}), make(chan struct{})
		all.Go(func() { devices.run(over) })
		all.Go(func() { f.run(size.guesses-size.warmUp, half); close(over) })
		<-half
		key.use(g, iss)
		devices.tokens.Store(&[]string{devices.first, key.token})
	})
	took, fetches := time.Since(begun), iss.Fetches()-fetched

	r := newReport(t)
	f.report(r)
	r.fetches("fetches", fetches, took, size.cooldown)
	key.report(r, size.cooldown+size.slack)
	devices.report(r, size)
	row := fmt.Sprintf("resident memory at its peak; in the first %d guesses it was %s", size.warmUp, mib(warm))
	limit := warm + warm/2
	r.askedIf(size.compared, peak <= limit, row, "at most "+mib(limit), mib(peak))
	r.growth(before, g.settled())
}

// flood is strangers who guess.
type flood struct {
	*gateway
	guesser
	size    guessesSize
	answers tally
}

// run makes n guesses, and tells when it has made half of them.
func (f *flood) run(n int, half chan<- struct{}) {
	var strangers sync.WaitGroup
	defer strangers.Wait()
	turns := make(chan struct{})
	defer close(turns)
	for range f.size.strangers {
		strangers.Go(func() {
			for range turns {
				f.answers.count(f.login(f.guess()))
			}
		})
	}
	for i := range paced(n, f.size.rate) {
		if i == n/2 && half != nil {
			close(half)
		}
		turns <- struct{}{}
	}
}

func (f *flood) report(r *report) {
	const fetched, full = "BYE invalid_token", "BYE temporarily_unavailable"
	r.none(fmt.Sprintf("of %d guesses were not refused", f.answers.n), f.answers.except(fetched, full), &f.answers)
	r.told("  after a fetch", fmt.Sprint(f.answers.of[fetched]))
	r.told("  at once, to come again", fmt.Sprint(f.answers.of[full]))
}

// newKey is a key that signs from the moment that it is published, and a device
// that tries a token of it until it is let in.
type newKey struct {
	token   string
	answers tally
	worked  time.Duration // since it was published
}

func (k *newKey) use(g *gateway, iss *authtest.Issuer) {
	published := time.Now()
	iss.Rotate()
	k.token = iss.Token()
	for {
		a := g.login(k.token)
		k.answers.count(a)
		k.worked = time.Since(published)
		if a.ok() || k.worked > patience {
			return
		}
	}
}

func (k *newKey) report(r *report, limit time.Duration) {
	r.asked(k.worked <= limit, "from a new key's publication to the first login with it", "at most "+ms(limit), ms(k.worked))
	r.none("  refused meanwhile, and not to come again", k.answers.except("OK AUTH", "BYE temporarily_unavailable"), &k.answers)
}

// deviceLoad is devices that log in again and again with the same few tokens. A
// gateway may remember these: another one each time would be growth that is not
// the flood's.
type deviceLoad struct {
	*gateway
	rate   int
	first  string
	tokens atomic.Pointer[[]string]

	answers, renewed tally // all, and those to others than the first token
	latencies        latencies
}

func newDeviceLoad(g *gateway, rate int, token string) *deviceLoad {
	d := &deviceLoad{gateway: g, rate: rate, first: token}
	d.tokens.Store(&[]string{token})
	return d
}

func (d *deviceLoad) run(over <-chan struct{}) {
	var logins sync.WaitGroup
	defer logins.Wait()
	for i := range paced(math.MaxInt, d.rate) {
		select {
		case <-over:
			return
		default:
		}
		tokens := *d.tokens.Load()
		token := tokens[i%len(tokens)]
		logins.Go(func() {
			a := d.login(token)
			d.answers.count(a)
			d.latencies.add(window{number: i / d.rate}, a.took)
			if token != d.first {
				d.renewed.count(a)
			}
		})
	}
}

func (d *deviceLoad) report(r *report, size guessesSize) {
	r.none(fmt.Sprintf("of %d logins with known keys, of them %d with the new one, failed", d.answers.n, d.renewed.n),
		d.answers.except("OK AUTH"), &d.answers)
	// The flood is the same in every second, and what else goes on on the
	// machine is not; whoever waits for a fetch waits longer.
	best, limit := d.latencies.bestP99(), size.cooldown/20
	const row = "  their p99, in the best second"
	r.askedIf(size.compared, best <= limit, row, "at most "+ms(limit), ms(best))
	r.told("  in a typical second", ms(d.latencies.typicalP99(0)))
}
