package session

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// gate is a backend that says when it has a message, and takes it when it may.
type gate struct{ has, take chan struct{} }

func (g gate) Message(s *Session, text []byte, r *Reply) error {
	if string(text) == "wait" {
		g.has <- struct{}{}
		<-g.take
	}
	return Echo{}.Message(s, text, r)
}

// TestDrainAnswersWhatArrived: the end of a drain comes while a line is with the
// backend and others wait in the socket: all of them are answered before the BYE.
// Of any other end that is not so.
func TestDrainAnswersWhatArrived(t *testing.T) {
	for name, pair := range transports(t) {
		for _, tt := range []struct {
			name string
			code wire.Code
			half bool // the client ends its stream behind its lines
		}{
			{"draining", wire.Draining, false},
			{"draining half closed", wire.Draining, true},
			{"token_revoked", wire.TokenRevoked, false},
		} {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				client, server := pair(t)
				defer client.Close()
				backend := gate{make(chan struct{}), make(chan struct{})}
				s, in, ended := connect(t, newServer(t, Config{Backend: backend}), client, server)
				io.WriteString(client, "wait\n")
				<-backend.has
				io.WriteString(client, "ping\nfirst\n")
				io.WriteString(client, "second\nping\nhalf of a")
				if tt.half {
					steady.EndStream(client)
				}
				s.Announce(2 * time.Second)
				s.End(tt.code, 2*time.Second)
				close(backend.take)
				expect(t, in, "from server: wait\n")
				if tt.code == wire.Draining {
					talk(t, in, "NOTICE draining retry_after=2\n", "pong\n", "from server: first\n", "from server: second\n", "pong\n")
				} else {
					talk(t, in, "NOTICE draining retry_after=2\n")
				}
				expect(t, in, "BYE "+tt.code.String()+" ")
				if reason := <-ended; reason != tt.code {
					t.Errorf("ended for %v", reason)
				}
			})
		}
	}
}

// TestDrainAnswersAllThatArrived: so are as many lines as a socket takes in, whose
// answers are more than one batch.
func TestDrainAnswersAllThatArrived(t *testing.T) {
	for name, pair := range transports(t) {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			defer client.Close()
			backend := gate{make(chan struct{}), make(chan struct{})}
			s, in, ended := connect(t, newServer(t, Config{Backend: backend}), client, server)
			io.WriteString(client, "wait\n")
			<-backend.has
			const lines = 5000
			var sent strings.Builder
			for i := range lines {
				fmt.Fprintf(&sent, "%d\n", i)
			}
			io.WriteString(client, sent.String())
			s.End(wire.Draining, 0)
			close(backend.take)
			expect(t, in, "from server: wait\n")
			for i := range lines {
				expect(t, in, fmt.Sprintf("from server: %d\n", i))
			}
			expect(t, in, "BYE draining ")
			if reason := <-ended; reason != wire.Draining {
				t.Errorf("ended for %v", reason)
			}
		})
	}
}

// TestDrainAmongOrders: and whatever others want of the session meanwhile.
func TestDrainAmongOrders(t *testing.T) {
	for range 100 {
		client, server := tcpPair(t)
		backend := gate{make(chan struct{}), make(chan struct{})}
		s, in, ended := connect(t, newServer(t, Config{Backend: backend}), client, server)
		io.WriteString(client, "wait\n")
		<-backend.has
		io.WriteString(client, "ping\n")
		s.End(wire.Draining, 0)
		over, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-over:
					return
				default:
					s.wake()
				}
			}
		}()
		close(backend.take)
		talk(t, in, "from server: wait\n", "pong\n")
		expect(t, in, "BYE draining ")
		client.Close()
		<-ended
		close(over)
		<-stopped
	}
}

// TestDrainIsNotKeptWaiting by a client that never pauses, and its answers are
// whole.
func TestDrainIsNotKeptWaiting(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	s, in, ended := connect(t, newServer(t, Config{}), client, server)
	go func() {
		for {
			if _, err := io.WriteString(client, "ping\nping\nping\nping\nping\nping\nping\nping\n"); err != nil {
				return
			}
		}
	}()
	expect(t, in, "pong\n")
	s.End(wire.Draining, time.Second)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line != "pong\n" {
			if want := "BYE draining action=retry retry_after=1 :"; line[:len(want)] != want {
				t.Errorf("got %q, want %q...", line, want)
			}
			break
		}
	}
	if reason := <-ended; reason != wire.Draining {
		t.Errorf("ended for %v", reason)
	}
}
