package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/client"
)

// fakeGateway is the other end of a net.Pipe for each connection that is
// dialed. Under synctest all of its times are exact.
type fakeGateway struct {
	t     *testing.T
	began time.Time
	conns chan net.Conn
}

func newFakeGateway(t *testing.T) *fakeGateway {
	return &fakeGateway{t: t, began: time.Now(), conns: make(chan net.Conn)}
}

// config reaches the gateway with a token from tokens; half of every jitter.
func (g *fakeGateway) config(tokens client.TokenSource) client.Config {
	return client.Config{
		Address:     "127.0.0.1:8885",
		Tokens:      tokens,
		DialContext: g.dial,
		Rand:        func() float64 { return 0.5 },
	}
}

func (g *fakeGateway) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case g.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// accept waits for the next connection.
func (g *fakeGateway) accept() *peer {
	nc := <-g.conns
	g.t.Cleanup(func() { nc.Close() })
	return &peer{g: g, nc: nc, r: bufio.NewReader(nc)}
}

// at fails the test unless d has passed since the gateway began.
func (g *fakeGateway) at(d time.Duration) {
	g.t.Helper()
	if now := time.Since(g.began); now != d {
		g.t.Errorf("it is %v, want %v", now, d)
	}
}

// peer is the gateway's side of one connection.
type peer struct {
	g  *fakeGateway
	nc net.Conn
	r  *bufio.Reader
}

// talk goes through a dialogue: "C: " lines are expected from the client, "S: "
// lines are sent to it, and "+10s" demands that this much time passed since the
// line before. It runs in goroutines too, so a failure ends the connection
// rather than the test.
func (p *peer) talk(dialogue string) {
	p.g.t.Helper()
	before := time.Now()
	for step := range strings.SplitSeq(strings.TrimSpace(dialogue), "\n") {
		step = strings.TrimSpace(step)
		if want, ok := strings.CutPrefix(step, "+"); ok {
			if passed := time.Since(before).String(); passed != want {
				p.g.t.Errorf("%v passed, want %v", passed, want)
			}
			continue
		}
		before = time.Now()
		if err := p.step(step); err != nil {
			p.g.t.Errorf("%s: %v", step, err)
			p.nc.Close()
			return
		}
		p.g.t.Logf("%8v %s", time.Since(p.g.began), step)
	}
}

func (p *peer) step(step string) error {
	who, line, _ := strings.Cut(step, ": ")
	switch who {
	case "C":
		got, err := p.r.ReadString('\n')
		if got != line+"\n" {
			return fmt.Errorf("client sent %q (%v)", got, err)
		}
	case "S":
		if _, err := p.nc.Write([]byte(line + "\n")); err != nil {
			return err
		}
	default:
		return errors.New("neither C nor S")
	}
	return nil
}

// numbered is a token source whose every new token is another: token.1.x, ...
type numbered struct {
	mu    sync.Mutex
	n     int
	fails int      // so many calls fail
	asked []string // "cached" or "fresh"
}

var errIssuerDown = errors.New("issuer down")

func (s *numbered) Token(_ context.Context, fresh bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fresh {
		s.asked = append(s.asked, "fresh")
	} else {
		s.asked = append(s.asked, "cached")
	}
	if s.fails > 0 {
		s.fails--
		return "", errIssuerDown
	}
	if fresh || s.n == 0 {
		s.n++
	}
	return "token." + string(rune('0'+s.n)) + ".x", nil
}

func (s *numbered) wantAsked(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.asked, want) {
		t.Errorf("token source was asked %v, want %v", s.asked, want)
	}
}
