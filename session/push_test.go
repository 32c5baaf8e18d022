package session

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/linegate/linegate/wire"
)

// TestPush: lines pushed from many goroutines, while the client talks, arrive
// whole and in each goroutine's order; before and after the session there is
// nobody to push to.
func TestPush(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	backend := pusher{opened: make(chan *Session, 1), closed: make(chan *Session, 1)}
	srv := newServer(t, Config{Backend: backend})
	early := srv.New(server, nil)
	if err := early.Push([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Fatalf("before AUTH: %v", err)
	}
	s, in, ended := connect(t, srv, client, server)
	if <-backend.opened != s {
		t.Fatal("another session was opened")
	}
	for _, text := range []string{"a\nb", "a\rb", strings.Repeat("x", 8<<10+1)} {
		if err := s.Push([]byte(text)); !errors.Is(err, ErrText) {
			t.Errorf("Push(%.5q): %v", text, err)
		}
	}
	const each = 1000
	var pushing sync.WaitGroup
	for from := range 4 {
		pushing.Go(func() {
			for i := range each {
				if err := s.Push(fmt.Appendf(nil, "push %d %d", from, i)); err != nil {
					t.Errorf("push: %v", err)
				}
			}
		})
	}
	go io.WriteString(client, strings.Repeat("ping\n", each))
	var next [4]int
	for range 5 * each {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var from, i int
		if line == "pong\n" {
			continue
		}
		if _, err := fmt.Sscanf(line, "from server: push %d %d\n", &from, &i); err != nil || i != next[from] {
			t.Fatalf("got %q, %v", line, err)
		}
		next[from]++
	}
	pushing.Wait()
	client.Close()
	<-ended
	if <-backend.closed != s {
		t.Fatal("another session was closed")
	}
	if err := s.Push([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Fatalf("after the end: %v", err)
	}
}

// pusher is a backend that pushes from goroutines of its own.
type pusher struct {
	Echo
	opened, closed chan *Session
}

func (p pusher) Opened(s *Session) { p.opened <- s }

func (p pusher) Closed(s *Session) { p.closed <- s }

// TestByeBehindWhatWasPushed: a client that reads too late for a pushed line gets all
// those that fitted, and then the BYE.
func TestByeBehindWhatWasPushed(t *testing.T) {
	for name, pair := range transports(t) {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			defer client.Close()
			srv := newServer(t, Config{Rules: Rules{MaxOutbound: 64 << 10}})
			s, in, ended := connect(t, srv, client, server)
			fitted, text := 0, strings.Repeat("x", 8000)
			for {
				err := s.Push(fmt.Appendf(nil, "%d %s", fitted, text))
				if errors.Is(err, ErrSlow) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				fitted++
			}
			for i := range fitted {
				expect(t, in, fmt.Sprintf("from server: %d %s\n", i, text))
			}
			expect(t, in, "BYE slow_consumer ")
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				t.Errorf("instead of the end: %q, %v", rest, err)
			}
			client.Close()
			if got := <-ended; got != wire.SlowConsumer {
				t.Fatal(got)
			}
		})
	}
}

// TestNothingBehindTheBye: however a backend pushes while its session ends, the
// BYE is the last line.
func TestNothingBehindTheBye(t *testing.T) {
	srv := newServer(t, Config{})
	for range 200 {
		client, server := tcpPair(t)
		s, in, ended := connect(t, srv, client, server)
		var pushing sync.WaitGroup
		for range 2 {
			pushing.Go(func() {
				for s.Push([]byte("news")) == nil {
				}
			})
		}
		go s.End(wire.TokenRevoked, 0)
		said, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(said), "\n"), "\n")
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "BYE token_revoked ") {
			t.Fatalf("the last line is %q", last)
		}
		pushing.Wait()
		client.Close()
		<-ended
	}
}
