//go:build soak

package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"
)

// fleet is how many clients there are of each kind.
var fleet = []struct {
	kind   string
	number int
	live   func(s *site, ctx context.Context, name string, r *rand.Rand)
}{
	{"device", 24, (*site).device},
	{"echoer", 12, (*site).echoer},
	{"visitor", 16, (*site).visitor},
	{"idler", 6, (*site).idler},
	{"slow reader", 4, (*site).slowReader},
	{"deaf", 2, (*site).deaf},
	{"rival", 2, (*site).rivals},
	{"stranger", 8, (*site).strangers},
}

// clients live until ctx is done, and then leave.
func (s *site) clients(ctx context.Context, round int) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, kind := range fleet {
		for i := range kind.number {
			name := fmt.Sprintf("%s %d", kind.kind, i)
			all.Go(func() {
				r := random(s.seed, fmt.Sprint(name, round))
				for pause(ctx, r, 10*time.Millisecond, 500*time.Millisecond) {
					kind.live(s, ctx, name, r)
				}
			})
		}
	}
}

func someLife(r *rand.Rand) time.Duration { return 6*time.Second + below(r, 10*time.Second) }

// text is what a message says: whose it is and which, and then anything.
func text(r *rand.Rand, name string, i int) string {
	size := r.IntN(100)
	if r.IntN(50) == 0 {
		size = r.IntN(maxLine - 100)
	}
	filler := []string{"x", "pong ", "BYE ", "\r", "\x00", "超", "AUTH ", "OK AUTH v=1 "}[r.IntN(8)]
	said := fmt.Sprintf("%s#%d ", name, i) + strings.Repeat(filler, size/len(filler))
	return strings.TrimRight(said, "\r") // one of these belongs to the line's end
}

// echoer pipelines messages and pings, renews, and checks each answer.
func (s *site) echoer(ctx context.Context, name string, r *rand.Rand) {
	p := s.dial(ctx, name, someWay(r))
	if p == nil {
		return
	}
	if !p.login(ctx, r, s.token(r, name, someLife(r))) {
		p.bye()
		return
	}
	defer p.bye()
	for i := 0; pause(ctx, r, 0, 300*time.Millisecond); {
		if p.due() {
			t := s.newToken(name, someLife(r))
			p.say(r, []request{auth(t)}, "AUTH "+t.text)
		}
		i = p.chat(r, name, i, 1+r.IntN(64))
		if !p.settled(ctx) {
			return
		}
	}
}

// chat says n lines at once, from number i on, and returns the next number.
func (p *peer) chat(r *rand.Rand, name string, i, n int) int {
	var requests []request
	var lines []string
	for range n {
		if i++; r.IntN(5) == 0 {
			requests, lines = append(requests, ping()), append(lines, []string{"ping", " ping", "ping\r"}[r.IntN(3)])
			continue
		}
		line := text(r, name, i)
		requests, lines = append(requests, message(line)), append(lines, line)
	}
	p.say(r, requests, lines...)
	return i
}

// visitor comes, says a little, and leaves in any of the ways to leave.
func (s *site) visitor(ctx context.Context, name string, r *rand.Rand) {
	p := s.dial(ctx, name, someWay(r))
	if p == nil {
		return
	}
	t := s.token(r, name, someLife(r))
	leave := r.IntN(6)
	if leave == 0 { // before the end of its AUTH
		p.listen(p.Conn)
		_, _ = io.WriteString(p.Conn, ("AUTH " + t.text)[:1+r.IntN(len(t.text))])
		p.reset()
		p.bye()
		return
	}
	defer p.bye()
	if r.IntN(2) == 0 { // AUTH and more in one packet
		p.listen(p.Conn)
		line := text(r, name, 0)
		p.say(r, []request{auth(t), message(line), ping()}, "AUTH "+t.text, line, "ping")
	} else if !p.login(ctx, r, t) {
		return
	}
	p.chat(r, name, 1, 1+r.IntN(20))
	switch leave {
	case 1:
		p.reset()
	case 2: // with half a line
		if p.settled(ctx) {
			_, _ = io.WriteString(p.Conn, "half a line")
			p.finish(ctx)
		}
	case 3:
		p.settled(ctx)
	default:
		p.finish(ctx)
	}
}

// idler says nothing until it is told that it was idle.
func (s *site) idler(ctx context.Context, name string, r *rand.Rand) {
	p := s.dial(ctx, name, someWay(r))
	if p == nil {
		return
	}
	defer p.bye()
	if !p.login(ctx, r, s.token(r, name, time.Minute)) {
		return
	}
	select {
	case <-p.heard:
	case <-ctx.Done():
	case <-time.After(answerWithin):
		if !p.faulty {
			p.find("%s: not told within %v that it is idle", p.name, answerWithin)
		}
	}
}

// slowReader says much at once and takes what comes back slowly, and loses
// nothing.
func (s *site) slowReader(ctx context.Context, name string, r *rand.Rand) {
	p := s.dial(ctx, name, someWay(r))
	if p == nil {
		return
	}
	defer p.bye()
	_ = p.socket.SetReadBuffer(16 << 10)
	p.listen(slow{p.Conn, 100*1024 + r.IntN(400*1024)})
	t := s.newToken(name, time.Minute)
	p.say(r, []request{auth(t)}, "AUTH "+t.text)
	for i := 0; i < 400 && ctx.Err() == nil; i++ {
		line := fmt.Sprintf("%s#%d %s", name, i, strings.Repeat("z", 500+r.IntN(6000)))
		p.say(r, []request{message(line)}, line)
		if _, over := p.pending(); over {
			return
		}
	}
	p.settled(ctx)
}

// slow reads so many bytes a second.
type slow struct {
	io.Reader
	rate int
}

func (s slow) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b[:min(len(b), 4<<10)])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(s.rate))
	return n, err
}

// deaf says much and takes nothing, until the gateway takes nothing either; what
// it then hears was in order all the same.
func (s *site) deaf(ctx context.Context, name string, r *rand.Rand) {
	p := s.dial(ctx, name, way{door: someDoor(r)})
	if p == nil {
		return
	}
	defer p.bye()
	p.unread = true
	t := s.newToken(name, time.Minute)
	p.say(r, []request{auth(t)}, "AUTH "+t.text)
	_ = p.socket.SetReadBuffer(16 << 10)
	dropped := p.shout(name)
	p.listen(p.Conn)
	switch {
	case ctx.Err() != nil:
	case !dropped:
		s.find("%s: takes nothing, and is not dropped", p.name)
		return
	default:
		s.count("clients that take nothing, ended", 1)
	}
	<-p.heard
}

// shout writes without end, and reports whether that came to one in time: no line
// has to wait for longer than answers do, and what the gateway takes before all
// buffers are full is not much.
func (p *peer) shout(name string) bool {
	begun := time.Now()
	for i := 0; time.Since(begun) < 2*answerWithin; i++ {
		line := fmt.Sprintf("%s#%d %s", name, i, strings.Repeat("z", 8000))
		p.ask(message(line))
		_ = p.SetWriteDeadline(time.Now().Add(answerWithin))
		if _, err := io.WriteString(p.Conn, line+"\n"); err != nil {
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
	return false
}

// rivals are more sessions of one subject than it may have: the oldest has to
// give way to the last, and no other.
func (s *site) rivals(ctx context.Context, name string, r *rand.Rand) {
	var all []*peer
	for range perSubject + 1 {
		if len(all) == perSubject {
			all[0].yield()
		}
		p := s.dial(ctx, name, way{door: someDoor(r)})
		if p == nil {
			return
		}
		defer p.bye()
		if !p.login(ctx, r, s.token(r, name, time.Minute)) {
			return
		}
		all = append(all, p)
	}
	for begun := time.Now(); ctx.Err() == nil; pause(ctx, r, 10*time.Millisecond, 100*time.Millisecond) {
		there := 0
		for _, p := range all {
			if _, over := p.pending(); !over {
				there++
			}
		}
		if there <= perSubject {
			s.count("times that a subject had one session too many", 1)
			break
		}
		if time.Since(begun) > answerWithin {
			s.find("%s: %d sessions of one subject, which may have %d", name, there, perSubject)
			return
		}
	}
	for _, p := range all[1:] {
		p.chat(r, name, 0, 10)
		p.settled(ctx)
	}
	pause(ctx, r, time.Second, 3*time.Second)
}
