// Package session is the protocol and one connection's life: a first line AUTH
// with a token, then lines, until the connection ends for exactly one reason.
// It knows neither listeners nor key sets: a gateway brings the connections,
// an Authenticator judges the tokens, and a Backend takes the messages.
package session

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/linegate/linegate/auth"
)

// Authenticator turns a token into an identity, or refuses it with an
// *auth.Error; any other error counts as a fault of the gateway. It must
// return soon after ctx is done.
type Authenticator interface {
	Verify(ctx context.Context, token string, proof auth.Proof) (*auth.Identity, error)
}

// Recaller is what an Authenticator implements besides when it remembers whom a
// token speaks for that it verified before; nil: it does not, or that no longer
// holds. Recall must not wait.
type Recaller interface {
	Recall(token string, proof auth.Proof) *auth.Identity
}

// Rules are the bounds of a session, as protocol.md tells them. A zero field
// takes the default given.
type Rules struct {
	AuthTimeout  time.Duration // for the opening AUTH, absolute, and for checking any; 10 s
	IdleTimeout  time.Duration // without a complete line from the client; 30 s
	ReauthNotice time.Duration // the most that is left when a new token is asked for; 30 s
	WriteTimeout time.Duration // for what is unsent when a connection ends (see close); 10 s
	MaxAuthLine  int           // bytes before the LF of a line that begins "AUTH "; 16 KiB
	MaxLine      int           // bytes before the LF of any other line; 8 KiB
	MaxOutbound  int           // bytes unsent at which the gateway stops reading; 256 KiB
	// LinesPerSecond is above which the gateway stops reading; 0: unlimited. A
	// second's lines may come at once.
	LinesPerSecond int

	interval time.Duration // between two lines; 0: any
}

func (r Rules) withDefaults() Rules {
	setDefault(&r.AuthTimeout, 10*time.Second)
	setDefault(&r.IdleTimeout, 30*time.Second)
	setDefault(&r.ReauthNotice, 30*time.Second)
	setDefault(&r.WriteTimeout, 10*time.Second)
	setDefault(&r.MaxAuthLine, 16<<10)
	setDefault(&r.MaxLine, 8<<10)
	setDefault(&r.MaxOutbound, 256<<10)
	if r.LinesPerSecond > 0 {
		r.interval = time.Second / time.Duration(r.LinesPerSecond)
	}
	return r
}

func setDefault[T ~int | ~int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Config makes a Server.
type Config struct {
	Authenticator Authenticator // required
	Backend       Backend       // nil: Echo
	Rules         Rules
	Limits        Limits
	Metrics       *Metrics     // nil: not counted anywhere
	Log           *slog.Logger // nil: discarded
	// Now is the wall clock, by which sessions expire; nil: time.Now.
	Now func() time.Time
}

// Server makes sessions and knows those that are authenticated.
type Server struct {
	auth     Authenticator
	recaller Recaller // the authenticator, where it is one; else nil
	reviewer Reviewer // so, too
	backend  Backend
	watcher  Watcher // the backend, where it is one; else nil
	rules    atomic.Pointer[Rules]
	metrics  *Metrics
	log      *slog.Logger
	events   *events
	sessions *registry

	// The machine's clocks and chance; tests bring their own.
	clock  func() moment
	newID  func() string
	jitter func(n int64) int64 // in [0, n)
}

// NewServer returns a server of sessions.
func NewServer(cfg Config) (*Server, error) {
	if cfg.Authenticator == nil {
		return nil, errors.New("session: an Authenticator is required")
	}
	srv := &Server{
		auth:     cfg.Authenticator,
		backend:  cfg.Backend,
		metrics:  cfg.Metrics,
		log:      cfg.Log,
		sessions: newRegistry(),
		clock:    systemClock(cfg.Now),
		newID:    rand.Text,
		jitter:   mathrand.Int64N,
	}
	if srv.backend == nil {
		srv.backend = Echo{}
	}
	srv.reviewer, _ = srv.auth.(Reviewer)
	srv.watcher, _ = srv.backend.(Watcher)
	srv.recaller, _ = srv.auth.(Recaller)
	if srv.metrics == nil {
		srv.metrics = NewMetrics(nil, nil)
	}
	if srv.log == nil {
		srv.log = slog.New(slog.DiscardHandler)
	}
	srv.events = newEvents(srv.log)
	srv.SetRules(cfg.Rules)
	srv.SetLimits(cfg.Limits)
	srv.metrics.sessionsOpen = srv.Open
	return srv, nil
}

// Sessions returns the authenticated sessions of this moment, in no order.
func (srv *Server) Sessions() []*Session { return srv.sessions.all() }

// Open returns how many sessions are authenticated at this moment.
func (srv *Server) Open() int { return srv.sessions.len() }

// Session returns the authenticated session of this id, nil when there is none.
func (srv *Server) Session(id string) *Session { return srv.sessions.get(id) }

// Flush waits until the log has everything that happened to sessions so far: that
// they open and close is logged in the background.
func (srv *Server) Flush() { srv.events.flush() }

// SetRules replaces the rules for connections that come later.
func (srv *Server) SetRules(r Rules) {
	r = r.withDefaults()
	srv.rules.Store(&r)
}

// SetLimits replaces the limits for sessions that open later. Those that are there
// stay, and count.
func (srv *Server) SetLimits(l Limits) { srv.sessions.setLimits(l) }

// Run watches the wall clock until ctx is done. Sessions sleep until their
// expiry by the monotonic clock; when the wall clock is set, they must look
// again, within a second (protocol.md, Session rules).
func (srv *Server) Run(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	last := srv.clock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := srv.clock()
		step := time.Duration(now.wall-last.wall) - (now.mono - last.mono)
		if step.Abs() > maxDrift {
			last = now
			for _, s := range srv.sessions.all() {
				s.wake()
			}
		}
	}
}

const (
	watchInterval = 500 * time.Millisecond
	maxDrift      = 100 * time.Millisecond // between the clocks before sessions look again
)

// Gate is what lets a client come so far as to be heard. Its methods must not wait,
// and must not call the session.
type Gate interface {
	Checking()      // the AUTH is complete, and being checked
	Refused()       // the client is not let in; the BYE comes next
	Authenticated() // it is let in
}

// New returns the session of one connection, from its first byte on. The
// connection's Write must fail with os.ErrDeadlineExceeded once the client has
// taken no byte for write_timeout (see internal/steady). gate is told how
// its client comes in; it may be nil.
func (srv *Server) New(nc net.Conn, gate Gate) *Session {
	s := &Session{srv: srv, nc: nc}
	if gate != nil {
		s.gate = &gate
	}
	s.out.s = s
	s.sealed, _ = nc.(sealed)
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw, s.readable = raw, s.onReadable
		}
	}
	rules := srv.rules.Load()
	s.machine.start(srv.clock(), rules, s)
	return s
}
