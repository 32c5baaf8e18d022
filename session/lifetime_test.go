package session

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// occupations are what a session may be at when trust in it ends.
var occupations = []struct {
	name   string
	stalls bool          // its client reads nothing until the BYE is due
	occupy func(l *life) // before the end
	late   string        // what the client sends when it has come
}{
	{name: "idle", late: "ping\n"},
	{name: "in the middle of a line", occupy: (*life).halfALine, late: " line\nping\n"},
	{name: "pushed to", occupy: (*life).bePushedTo, late: "ping\n"},
	{name: "sent messages", occupy: (*life).talk},
	{name: "stalled", stalls: true, occupy: (*life).fillUp},
	{name: "renewing", occupy: (*life).renew, late: "ping\n"},
}

// TestExpiry: whatever a session is at when its token expires, no line is
// answered or pushed from then on, and BYE token_expired follows within 1 s.
func TestExpiry(t *testing.T) { endOfTrust(t, wire.TokenExpired, (*life).expire) }

// TestRevocation: so it is when its token is revoked, whatever it is at.
func TestRevocation(t *testing.T) { endOfTrust(t, wire.TokenRevoked, (*life).revoke) }

func endOfTrust(t *testing.T, code wire.Code, end func(l *life)) {
	sockets := transports(t)
	for _, o := range occupations {
		play := func(l *life) {
			if o.occupy != nil {
				o.occupy(l)
			}
			if !o.stalls {
				go l.read()
			}
			end(l)
			l.over.Store(true)
			ended := l.srv.clock().mono
			if err := l.s.Push([]byte("late")); !errors.Is(err, ErrClosed) {
				l.t.Errorf("push: %v", err)
			}
			if o.late != "" {
				l.helpers.Go(func() { _, _ = io.WriteString(l.client, o.late) })
			}
			l.pass(byeSpread)
			if o.stalls {
				go l.read()
			}
			l.check(code, ended+time.Second)
		}
		t.Run(o.name+"/exact time", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				l := newLife(t, client, systemClock(nil))
				l.pass, l.pause = time.Sleep, func() { time.Sleep(time.Millisecond) }
				l.login(steady.New(server, 10*time.Second), "AUTH alice.2")
				play(l)
			})
		})
		for name, pair := range sockets {
			t.Run(o.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				client, server := pair(t)
				clock := newTestClock()
				l := newLife(t, client, clock.read)
				l.pass = func(d time.Duration) {
					clock.add(d, d)
					l.s.wake()
					l.s.awaitHeeded()
				}
				l.login(server, "AUTH alice.2")
				play(l)
			})
		}
	}
}

// life is a session and its client. Time is synctest's, or a clock's that only
// pass moves.
type life struct {
	t      *testing.T
	srv    *Server
	cast   castAuth
	s      *Session
	client net.Conn
	in     *bufio.Reader
	ended  chan wire.Code
	pass   func(time.Duration)
	pause  func() // between two lines of one who always has another

	helpers sync.WaitGroup
	over    atomic.Bool   // nothing may be served
	served  atomic.Int64  // messages, and pushed lines
	data    chan struct{} // a data line has come
	said    chan []said
}

// said is a line of the gateway, and when it came.
type said struct {
	line string
	at   time.Duration
}

func newLife(t *testing.T, client net.Conn, clock func() moment) *life {
	l := &life{
		t: t, client: client, in: bufio.NewReader(client), pause: func() {},
		data: make(chan struct{}, 1), said: make(chan []said, 1),
	}
	l.cast = castAuth{
		castTrust: new(castTrust), now: func() time.Time { return time.Unix(0, clock().wall) },
		asked: make(chan struct{}, 1), judge: make(chan struct{}),
	}
	l.srv = newServer(t, Config{Authenticator: l.cast, Rules: Rules{MaxOutbound: 16 << 10, IdleTimeout: 10 * time.Hour}})
	l.srv.backend = backendFunc(func(text []byte, r *Reply) {
		l.served.Add(1)
		if l.over.Load() {
			t.Error("a message was served after the end")
		}
		_ = r.Line(text)
	})
	l.srv.clock = clock
	l.srv.jitter = func(n int64) int64 { return n - 1 } // as late as may be
	return l
}

func (l *life) login(server net.Conn, auth string) {
	l.t.Helper()
	l.s, l.ended = serve(l.srv, server)
	_, _ = io.WriteString(l.client, auth+"\n")
	expect(l.t, l.in, "OK AUTH ")
}

func (l *life) expire() { l.pass(2 * time.Second) }

func (l *life) revoke() {
	l.cast.set("k1 withdrawn")
	if n := l.srv.Review(); n != 1 {
		l.t.Errorf("the review withdrew %d", n)
	}
	l.s.awaitHeeded()
}

func (l *life) halfALine() { io.WriteString(l.client, "half of a") }

func (l *life) renew() {
	io.WriteString(l.client, "AUTH slow-alice.300.k2\nping\n")
	<-l.cast.asked
}

// bePushedTo pushes a line whenever the last has arrived.
func (l *life) bePushedTo() {
	l.helpers.Go(func() {
		for l.s.Push([]byte("news")) == nil {
			l.served.Add(1)
			<-l.data
			l.pause()
		}
	})
}

// talk sends a message whenever the last is answered.
func (l *life) talk() {
	l.helpers.Go(func() {
		for open := true; open; _, open = <-l.data {
			l.pause()
			if _, err := io.WriteString(l.client, "a message\n"); err != nil {
				return
			}
		}
	})
}

// fillUp sends messages until the gateway takes no more, because nobody reads
// the answers.
func (l *life) fillUp() {
	l.helpers.Go(func() {
		for text := strings.Repeat("x", 4000) + "\n"; ; {
			if _, err := io.WriteString(l.client, text); err != nil {
				return
			}
		}
	})
	for l.s.out.unsentBytes() < l.s.out.limit() {
		time.Sleep(time.Millisecond)
	}
}

// read reads to the end.
func (l *life) read() {
	defer close(l.data)
	var lines []said
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			l.said <- lines
			return
		}
		lines = append(lines, said{line, l.srv.clock().mono})
		if strings.HasPrefix(line, "from server: ") {
			select {
			case l.data <- struct{}{}:
			default:
			}
		}
	}
}

// check waits for the end, and looks at all that was said.
func (l *life) check(code wire.Code, latest time.Duration) {
	l.t.Helper()
	lines := <-l.said
	l.client.Close()
	l.helpers.Wait()
	if got := <-l.ended; got != code {
		l.t.Errorf("ended for %s", got)
	}
	if len(lines) == 0 {
		l.t.Fatal("nothing was said")
	}
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last.line, "BYE "+code.String()+" ") || last.at > latest {
		l.t.Errorf("the last line is %q, at %v; want a BYE until %v", last.line, last.at, latest)
	}
	data := int64(0)
	for _, s := range lines[:len(lines)-1] {
		switch {
		case strings.HasPrefix(s.line, "from server: "):
			data++
		case !strings.HasPrefix(s.line, "NOTICE reauth "):
			l.t.Errorf("%q was said", s.line)
		}
	}
	if served := l.served.Load(); data != served {
		l.t.Errorf("%d data lines arrived, %d were answered or pushed before the end", data, served)
	}
}

// TestWallClockSteps: exp goes by the wall clock. When that is set, sessions look
// at it within a second, and say BYE within another, whatever they are at.
// max_lifetime, 100 s here, does not see it.
func TestWallClockSteps(t *testing.T) {
	for _, tt := range []struct {
		name   string
		token  string
		occupy func(l *life)
		steps  []time.Duration // a minute between them
		want   time.Duration   // from the last to the end
	}{
		{"an hour forward, idle", "alice.600", nil, []time.Duration{time.Hour}, 0},
		{"an hour forward, pushed to", "alice.600", (*life).bePushedTo, []time.Duration{time.Hour}, 0},
		{"an hour forward, renewing", "alice.600", (*life).renew, []time.Duration{time.Hour}, 0},
		{"an hour back", "alice.600", nil, []time.Duration{-time.Hour}, 69 * time.Minute},
		{"an hour back, pushed to", "alice.600", (*life).bePushedTo, []time.Duration{-time.Hour}, 69 * time.Minute},
		{"back and forward again", "alice.600", nil, []time.Duration{-time.Hour, time.Hour}, 8 * time.Minute},
		{"max_lifetime, an hour forward", "alice.86400.capped", nil, []time.Duration{time.Hour}, 40 * time.Second},
		{"max_lifetime, an hour back", "alice.600.capped", nil, []time.Duration{-time.Hour}, 40 * time.Second},
		{"max_lifetime, an hour forward, past exp", "alice.600.capped", nil, []time.Duration{time.Hour}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				clock, offset := systemClock(nil), new(atomic.Int64)
				l := newLife(t, client, func() moment {
					now := clock()
					now.wall += offset.Load()
					return now
				})
				l.pause = func() { time.Sleep(time.Second) }
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				l.helpers.Go(func() { l.srv.Run(ctx) })
				l.login(steady.New(server, 10*time.Second), "AUTH "+tt.token)
				go l.read()
				for i, step := range tt.steps {
					time.Sleep(time.Minute)
					if i == len(tt.steps)-1 && tt.occupy != nil {
						tt.occupy(l)
					}
					offset.Add(int64(step))
				}
				due := clock().mono + tt.want
				lines := <-l.said
				if last := lines[len(lines)-1]; last.at < due || last.at > due+2*time.Second {
					t.Errorf("%q %v after it was due", last.line, last.at-due)
				}
				stop()
				l.said <- lines
				l.check(wire.TokenExpired, due+2*time.Second)
			})
		})
	}
}

// TestEndIsSeenByAll: what others ask of a session goes by both clocks too, even
// if the session has not looked at them yet.
func TestEndIsSeenByAll(t *testing.T) {
	for _, tt := range []struct {
		name       string
		token      string
		mono, wall time.Duration // that pass
		want       time.Duration // then, until the session expires by the wall clock
	}{
		{"before exp", "alice.300", 299 * time.Second, 299 * time.Second, time.Second},
		{"at exp", "alice.300", 300 * time.Second, 300 * time.Second, 0},
		{"set to exp", "alice.300", 0, 300 * time.Second, 0},
		{"set back", "alice.300", 300 * time.Second, 0, 300 * time.Second},
		{"before the end of max_lifetime", "alice.300.capped", 99 * time.Second, 99 * time.Second, time.Second},
		{"at the end of max_lifetime", "alice.300.capped", 100 * time.Second, 100 * time.Second, 0},
		{"max_lifetime, set back", "alice.300.capped", 100 * time.Second, -time.Hour, 0},
		{"max_lifetime, set forward", "alice.300.capped", time.Second, 250 * time.Second, 50 * time.Second},
		{"max_lifetime, set to exp", "alice.300.capped", time.Second, 300 * time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := newTestClock()
			srv := castServer(t, Rules{IdleTimeout: 10 * time.Hour}, clock, castAuth{castTrust: new(castTrust), now: clock.wall})
			client, server := tcpPair(t)
			s, _, ended := connectAs(t, srv, client, server, tt.token)
			clock.add(tt.mono, tt.wall) // and does not wake the session
			err := s.Push([]byte("news"))
			if open := tt.want > 0; open != (err == nil) || !open && !errors.Is(err, ErrClosed) {
				t.Errorf("push: %v", err)
			}
			if got := s.Expires().Sub(clock.wall()); got != tt.want {
				t.Errorf("expires in %v, want %v", got, tt.want)
			}
			client.Close()
			<-ended
		})
	}
}
