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
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// Mode is what connections do.
type Mode string

// The modes.
const (
	Ping  Mode = "ping"  // sessions that ping
	Echo  Mode = "echo"  // sessions that send messages and get them back
	Idle  Mode = "idle"  // sessions that are only there
	Login Mode = "login" // connections that log in and go, one after another
	Storm Mode = "storm" // sessions that are cut all at once, and come back
)

// Modes lists them.
func Modes() []Mode { return []Mode{Ping, Echo, Idle, Login, Storm} }

// Config says what to do. Of Duration and Count at least one is set in the
// modes ping, echo and login; the first that is reached ends the run.
type Config struct {
	Mode     Mode
	Address  string      // host:port
	Protocol Protocol    // empty: Linegate
	TLS      *tls.Config // nil: plain TCP
	// Tokens are what devices log in with: device i with the i-th, in mode
	// login the i-th login. After the last comes the first.
	Tokens      []string
	Connections int
	Pipeline    int // requests in one write; the next when all are answered; 0: 1
	Size        int // bytes of an echo's text
	Duration    time.Duration
	Count       int // messages, or logins
	// Rate is messages a second in all, each connection at its own regular
	// times; the latency then counts from when a message was due. 0: the next
	// one as soon as the last is answered.
	Rate    int
	AtOnce  int           // connections on their way in at once; 0: 100, after a cut all
	Source  netip.Prefix  // IPv4 addresses to connect from, in turn; zero: the system's choice
	Threads int           // that drive plain TCP; 0: half of the machine's cores
	Timeout time.Duration // for one reply, and for all to be in; 0: 30 s
	Warmup  time.Duration // of the same, before anything is counted
	PID     int           // of the server, for its CPU time and memory; 0: not read
	Steps   []int         // idle: numbers of sessions to measure memory at, the last is Connections; nil: that alone
	// CutByServer: it is not the generator that cuts the sessions of a storm;
	// it waits until the server does, and is restarted by whoever does that.
	CutByServer bool
	// Cut restarts the server of a storm and returns when it may be connected
	// to again, which is when the time begins to count; nil: the generator
	// resets the connections of a server that goes on.
	Cut       func(context.Context) error
	Strangers *Strangers // nil: none; with ping and echo
	Progress  func(Progress)
}

// Progress is told every second.
type Progress struct {
	Phase                             string
	Elapsed                           time.Duration
	Messages, Logins, Errors, Retries int
}

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

func (c Config) withDefaults() Config {
	if c.Protocol == "" {
		c.Protocol = Linegate
	}
	if c.Pipeline == 0 {
		c.Pipeline = 1
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Threads == 0 {
		c.Threads = max(1, runtime.NumCPU()/2)
	}
	c.Threads = min(c.Threads, max(c.Connections, 1))
	if c.Steps == nil {
		c.Steps = []int{c.Connections}
	}
	if c.Strangers != nil {
		c.Strangers = &Strangers{
			Rate:     c.Strangers.Rate,
			Address:  cmp.Or(c.Strangers.Address, c.Address),
			Protocol: cmp.Or(c.Strangers.Protocol, c.Protocol),
			Tokens:   c.Strangers.Tokens,
		}
		if c.Strangers.Tokens == nil {
			c.Strangers.Tokens = c.Tokens
		}
	}
	return c
}

// maxUnanswered bounds what a connection may have unanswered: beyond, both
// sides could wait for the other to read.
const maxUnanswered = 1 << 20

// Check refuses what makes no sense. An error begins with the name of what is
// at fault, as linegatectl's flags have it.
func (c Config) Check() error {
	c = c.withDefaults()
	if !slices.Contains(Modes(), c.Mode) {
		return fmt.Errorf("mode: %q is none of ping, echo, idle, login, storm", c.Mode)
	}
	dialect, err := dialectOf(c.Protocol)
	if err != nil {
		return err
	}
	for name, n := range map[string]int{
		"count": c.Count, "rate": c.Rate, "at-once": c.AtOnce, "threads": c.Threads, "pid": c.PID,
		"duration": int(c.Duration), "timeout": int(c.Timeout), "warmup": int(c.Warmup),
	} {
		if n < 0 {
			return fmt.Errorf("%s: want no negative number", name)
		}
	}
	talks := c.Mode == Ping || c.Mode == Echo
	switch {
	case c.Connections < 1:
		return errors.New("connections: want at least 1")
	case c.Pipeline < 1:
		return errors.New("pipeline: want at least 1")
	case c.Mode == Echo && (c.Size < 1 || c.Size > maxUnanswered/c.Pipeline):
		return fmt.Errorf("size: want 1 to %d, with %d outstanding", maxUnanswered/c.Pipeline, c.Pipeline)
	case c.Mode == Echo && dialect.echo == nil:
		return fmt.Errorf("protocol: %s has no echo", c.Protocol)
	case (talks || c.Mode == Login) && c.Duration == 0 && c.Count == 0:
		return errors.New("duration: want more than 0, or a count")
	case c.Rate > 0 && !talks:
		return errors.New("rate: only in the modes ping and echo")
	case c.Strangers != nil && !talks:
		return errors.New("strangers: only in the modes ping and echo")
	case c.Strangers != nil && c.Strangers.Rate < 1:
		return errors.New("strangers: want at least 1 a second")
	case c.Strangers != nil && len(c.Strangers.Tokens) == 0:
		return errors.New("strangers: want tokens to make bad ones of")
	case dialect.needs && len(c.Tokens) == 0:
		return fmt.Errorf("tokens: protocol %s wants some", c.Protocol)
	case c.Source.IsValid() && !c.Source.Addr().Is4():
		return errors.New("source: want an IPv4 prefix")
	case !slices.IsSorted(c.Steps) || c.Steps[len(c.Steps)-1] != c.Connections:
		return errors.New("steps: want rising numbers, the last that of the connections")
	}
	return nil
}

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

// use begins to measure the server; what it returns ends it.
func (r *run) use() (func() (*ServerUse, error), error) {
	if r.PID == 0 {
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
