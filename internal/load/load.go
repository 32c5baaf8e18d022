// Package load makes load on a line server and measures how it is answered: a
// closed loop, in which every connection waits for its replies before it asks
// again, unless a rate is given. Every reply is checked, byte for byte.
//
// What a connection says is in device, without I/O; when it says what is in
// the phases; pollers and streams carry the bytes.
package load

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
)

// Run does what c says and returns what came of it. An error is one that kept
// it from measuring; connections that failed are in the Result.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	c = c.withDefaults()
	if limit := fileLimit(); c.Connections+reserve > limit {
		return nil, fmt.Errorf("%d connections need %d open files, and the limit is %d (ulimit -n)", c.Connections, c.Connections+reserve, limit)
	}
	p, err := newPlan(c)
	if err != nil {
		return nil, err
	}
	if p.target, err = resolve(ctx, c.Address); err != nil {
		return nil, err
	}
	if c.Strangers != nil {
		if p.floodTarget, err = resolve(ctx, c.Strangers.Address); err != nil {
			return nil, err
		}
	}
	r, err := newRun(p)
	if err != nil {
		return nil, err
	}
	defer r.fleet.close()
	stop := r.tellProgress()
	defer stop()
	return r.whole(ctx)
}

// reserve is how many files are open besides the connections.
const reserve = 64

// run is one run of a plan.
type run struct {
	*plan
	devices []*device
	tallies []*tally
	fleet   fleet
	phase   phaseName
}

func newRun(p *plan) (*run, error) {
	r := &run{plan: p}
	for i := range p.Connections {
		r.devices = append(r.devices, &device{plan: p, id: i, token: p.tokenOf(i)})
	}
	for range p.Threads {
		r.tallies = append(r.tallies, newTally())
	}
	p.left.Store(math.MaxInt64)
	if p.TLS != nil {
		r.fleet = newStreams(r.devices, r.tallies)
		return r, nil
	}
	var err error
	r.fleet, err = newPollers(p, r.devices, r.tallies)
	return r, err
}

// whole is the run from its first connection to its last reply.
func (r *run) whole(ctx context.Context) (*Result, error) {
	result := newResult(r.plan)
	err := r.byMode(ctx, result)
	for _, t := range r.tallies {
		result.count(t)
	}
	for _, d := range r.devices {
		if d.stained {
			result.Failed++
		}
	}
	return result, err
}

func (r *run) byMode(ctx context.Context, result *Result) error {
	switch r.Mode {
	case Login:
		return r.measured(ctx, result, "logins", func(start, end moment) phase {
			return churning{plan: r.plan, end: end}
		})
	case Idle:
		return r.idle(ctx, result)
	case Storm:
		return r.storm(ctx, result)
	}
	if err := r.enter(ctx, r.Connections); err != nil {
		return err
	}
	return r.measured(ctx, result, "messages", func(start, end moment) phase {
		return talking{plan: r.plan, start: start, end: end}
	})
}

// enter brings in the first n devices.
func (r *run) enter(ctx context.Context, n int) error {
	r.phase.set("entering")
	return r.fleet.play(ctx, entering{limit: n, until: r.now() + r.Timeout}, cmp.Or(r.AtOnce, 100))
}

// measured plays a phase once to warm up, and once for the result.
func (r *run) measured(ctx context.Context, result *Result, name string, p func(start, end moment) phase) error {
	if r.Warmup > 0 {
		r.phase.set("warming up")
		now := r.now()
		if err := r.fleet.play(ctx, p(now, now+r.Warmup), r.Connections); err != nil {
			return err
		}
		for _, t := range r.tallies {
			t.forget(r.Mode == Login)
		}
	}
	if r.Count > 0 {
		r.left.Store(int64(r.Count))
	}
	r.phase.set(name)
	told, stop := r.strangers(ctx)
	defer stop()
	used, err := r.use()
	if err != nil {
		return err
	}
	start := r.now()
	end := moment(0)
	if r.Duration > 0 {
		end = start + r.Duration
	}
	if err := r.fleet.play(ctx, p(start, end), r.Connections); err != nil {
		return err
	}
	result.Elapsed = r.now() - start
	stop()
	result.Strangers = told()
	result.Server, err = used()
	return err
}

// idle holds sessions, as many as each step says.
func (r *run) idle(ctx context.Context, result *Result) error {
	used, err := r.use()
	if err != nil {
		return err
	}
	if err := r.remember(result, 0); err != nil {
		return err
	}
	for _, n := range r.Steps {
		if err := r.enter(ctx, n); err != nil {
			return err
		}
		r.phase.set("holding")
		start := r.now()
		if err := r.fleet.play(ctx, holding{end: start + r.Duration}, r.Connections); err != nil {
			return err
		}
		result.Elapsed += r.now() - start
		if err := r.remember(result, n); err != nil {
			return err
		}
	}
	result.Server, err = used()
	return err
}

// remember notes the server's memory with so many sessions.
func (r *run) remember(result *Result, sessions int) error {
	if r.PID == 0 {
		return nil
	}
	now, err := ReadProcess(r.PID)
	result.Memory = append(result.Memory, Memory{Sessions: sessions, Bytes: now.Resident})
	return err
}

// storm has all sessions cut and come back.
func (r *run) storm(ctx context.Context, result *Result) error {
	if err := r.enter(ctx, r.Connections); err != nil {
		return err
	}
	for _, t := range r.tallies {
		t.forget(true) // only those who come back count
	}
	used, err := r.use()
	if err != nil {
		return err
	}
	start, err := r.cutAndBack(ctx)
	if err != nil {
		return err
	}
	for _, d := range r.devices {
		if d.stage == inside {
			result.Back = append(result.Back, d.at-start)
		}
	}
	slices.Sort(result.Back)
	if len(result.Back) > 0 {
		result.Elapsed = result.Back[len(result.Back)-1]
	}
	result.Server, err = used()
	return err
}

// cutAndBack returns the moment from which a storm counts.
func (r *run) cutAndBack(ctx context.Context) (start moment, err error) {
	width := cmp.Or(r.AtOnce, r.Connections)
	if r.CutByServer {
		r.phase.set("waiting for the server to cut")
		var first atomic.Int64
		p := surviving{holding: holding{end: forever}, patience: r.Timeout, first: &first}
		err := r.fleet.play(ctx, p, r.Connections)
		return moment(first.Load()), err
	}
	r.phase.set("cut")
	start = r.now()
	if r.Cut != nil {
		if err := r.Cut(ctx); err != nil {
			return 0, err
		}
	}
	r.fleet.cut() // after a restart, what is left of them here
	if r.Cut != nil {
		start = r.now()
	}
	r.phase.set("coming back")
	back := entering{limit: r.Connections, until: start + r.Timeout, storm: true, restart: r.Cut != nil}
	return start, r.fleet.play(ctx, back, width)
}

// forever is longer than anybody waits.
const forever = moment(math.MaxInt64)

// use begins to measure the server; what it returns ends it. One that is
// restarted meanwhile is another process.
func (r *run) use() (func() (*ServerUse, error), error) {
	if r.PID == 0 || r.Cut != nil || r.CutByServer {
		return func() (*ServerUse, error) { return nil, nil }, nil
	}
	before, err := ReadProcess(r.PID)
	if err != nil {
		return nil, err
	}
	return func() (*ServerUse, error) {
		after, err := ReadProcess(r.PID)
		return &ServerUse{CPU: after.CPU - before.CPU, Resident: after.Resident}, err
	}, nil
}
