package load

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// phase is a part of a run: what each device does first, and what it does when
// something happened to it. A phase is over when every device rests or has
// left.
type phase interface {
	begin(d *device, now moment) action
	// next is not asked about none.
	next(d *device, e event, now moment) action
}

// action is what is to be done with a device's connection.
type action struct {
	do verb
	at moment // for connect and sleep
}

type verb uint8

const (
	write   verb = iota // d.send, then take what comes
	sleep               // until at: then timeUp
	connect             // close what is open, and at that time begin anew
	rest                // stay as it is: settled
	leave               // close: settled
)

// entering brings devices in, as long as there is hope.
type entering struct {
	limit int    // devices from this one on stay away
	until moment // when to give up
	// storm is a return after a cut: nobody gives up for a lost connection
	// that the server said nothing about, but it is a failure.
	storm bool
	// restart is a return to a server that others start: until it is there,
	// a refused connection is none of its failures.
	restart bool
}

func (p entering) begin(d *device, now moment) action {
	if d.id >= p.limit || d.stage == inside {
		return action{do: rest}
	}
	return action{do: connect, at: now}
}

func (p entering) next(d *device, e event, now moment) action {
	if e == entered {
		return action{do: rest}
	}
	return p.again(d, now)
}

// again is when a device that was not let in tries again: as a device does that
// follows the protocol, only that the generator has no minutes to spend.
func (p entering) again(d *device, now moment) action {
	at := now + rand.N(time.Second)
	switch {
	case d.lost.told && d.lost.retry:
		at += d.lost.after
		d.tally.retried(d.lost.kind)
	case p.restart && d.lost.kind == unreachable:
		at = now + rand.N(200*time.Millisecond)
		d.tally.retried(d.lost.kind)
	case p.storm && !d.lost.told:
		d.tally.failed(d.lost)
		d.stained = true
	default:
		return giveUp(d, d.lost)
	}
	if at > p.until {
		return giveUp(d, failure{kind: keptOut})
	}
	return action{do: connect, at: at}
}

func giveUp(d *device, why failure) action {
	d.tally.failed(why)
	d.stained = true
	return action{do: leave}
}

// surviving holds sessions until the server ends them, and brings each back: a
// storm that somebody else makes. It ends when all that were there are back.
type surviving struct {
	holding  holding
	patience time.Duration
	first    *atomic.Int64 // moment at which the first was lost; 0: none yet
}

func (p surviving) begin(d *device, now moment) action {
	d.cut = false
	return p.holding.begin(d, now)
}

func (p surviving) next(d *device, e event, now moment) action {
	switch {
	case e == failed && !d.cut:
		d.cut = true
		p.first.CompareAndSwap(0, int64(now))
		return action{do: connect, at: now}
	case e == failed:
		back := entering{until: moment(p.first.Load()) + p.patience, storm: true, restart: true}
		return back.again(d, now)
	case d.cut:
		return action{do: rest}
	}
	return p.holding.doze(d, now)
}

// talking keeps Pipeline requests of every device unanswered, or asks at the
// times of Rate.
type talking struct {
	plan  *plan
	start moment
	end   moment // 0: when the count is used up
}

func (p talking) begin(d *device, now moment) action {
	if d.stage != inside {
		return action{do: rest}
	}
	if p.plan.Rate > 0 {
		d.turn = p.start + p.interval()*time.Duration(d.id)/time.Duration(p.plan.Connections)
		return action{do: sleep, at: d.turn}
	}
	return p.ask(d, now, now)
}

func (p talking) next(d *device, e event, now moment) action {
	switch {
	case e == failed:
		return giveUp(d, d.lost)
	case p.plan.Rate == 0:
		return p.ask(d, now, now)
	case e == answered:
		d.turn += p.interval()
	}
	if d.turn > now {
		return action{do: sleep, at: d.turn}
	}
	return p.ask(d, now, d.turn) // counted from when it was due
}

// interval is the time between two batches of a device.
func (p talking) interval() time.Duration {
	return time.Duration(p.plan.Connections) * time.Duration(p.plan.Pipeline) * time.Second / time.Duration(p.plan.Rate)
}

func (p talking) ask(d *device, now, asked moment) action {
	if p.end > 0 && now >= p.end {
		return action{do: rest}
	}
	n := p.plan.claim(p.plan.Pipeline)
	if n == 0 {
		return action{do: rest}
	}
	if p.plan.Mode == Echo {
		d.echoes(n, asked)
	} else {
		d.pings(n, asked)
	}
	return action{do: write}
}

// holding keeps sessions open and idle, each with a ping three times in the
// server's idle time-out.
type holding struct{ end moment }

func (p holding) begin(d *device, now moment) action {
	if d.stage != inside {
		return action{do: rest}
	}
	return p.doze(d, now)
}

func (p holding) next(d *device, e event, now moment) action {
	if e == failed {
		return giveUp(d, d.lost)
	}
	return p.doze(d, now)
}

func (p holding) doze(d *device, now moment) action {
	at := p.end
	if d.idle > 0 {
		at = min(at, d.heard+d.idle/3)
	}
	switch {
	case now >= p.end:
		return action{do: rest}
	case at > now:
		return action{do: sleep, at: at}
	}
	d.pings(1, now)
	return action{do: write}
}

// churning logs in again and again, a connection and the next token for each.
type churning struct {
	plan *plan
	end  moment // 0: when the count is used up
}

func (p churning) begin(d *device, now moment) action { return p.another(d, now) }

func (p churning) next(d *device, e event, now moment) action {
	switch {
	case e == entered:
		return p.another(d, now)
	case d.lost.told && d.lost.retry:
		d.tally.retried(d.lost.kind)
		return p.connect(d, now+d.lost.after+rand.N(time.Second))
	}
	d.tally.failed(d.lost)
	d.stained = true
	return p.another(d, now+10*time.Millisecond)
}

func (p churning) another(d *device, at moment) action {
	if p.plan.claim(1) == 0 {
		return action{do: leave}
	}
	d.token = p.plan.tokenOf(int(p.plan.logins.Add(1)) - 1)
	return p.connect(d, at)
}

func (p churning) connect(d *device, at moment) action {
	if p.end > 0 && at >= p.end {
		return action{do: leave}
	}
	return action{do: connect, at: at}
}
