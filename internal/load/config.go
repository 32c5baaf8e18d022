package load

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
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
	PID     int           // of the server, for its CPU time and memory, unless it is restarted; 0: not read
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
	case c.Count > 0 && !talks && c.Mode != Login:
		return errors.New("count: only in the modes ping, echo and login")
	case c.Warmup > 0 && !talks && c.Mode != Login:
		return errors.New("warmup: only in the modes ping, echo and login")
	case c.CutByServer && c.Mode != Storm:
		return errors.New("cut-by: only in mode storm")
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
