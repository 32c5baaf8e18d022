package session

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
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

// chatty is a client that has said more whenever it is answered, and its backend.
type chatty struct {
	nc    net.Conn
	taken int // messages
}

// drainAt is the message with the backend when the drain ends the session.
const drainAt = 10

func (c *chatty) Message(s *Session, text []byte, r *Reply) error {
	if c.taken++; c.taken == drainAt {
		s.End(wire.Draining, 0)
	}
	_, _ = io.WriteString(c.nc, "more\n")
	return Echo{}.Message(s, text, r)
}

// TestDrainIsNotKeptWaiting by a client whose next line is there whenever it is looked
// for, and its answers are whole.
func TestDrainIsNotKeptWaiting(t *testing.T) {
	client, server := localPair(t)
	_ = client.SetDeadline(time.Now().Add(20 * time.Second))
	backend := &chatty{nc: client}
	_, in, ended := connect(t, newServer(t, Config{Backend: backend}), client, server)
	io.WriteString(client, "more\n")
	const want = drainAt + arrivedMost // a line is a read
	for range want {
		expect(t, in, "from server: more\n")
	}
	expect(t, in, "BYE draining ")
	client.Close()
	if reason := <-ended; reason != wire.Draining {
		t.Errorf("ended for %v", reason)
	}
	if backend.taken != want {
		t.Errorf("%d messages were taken, want %d", backend.taken, want)
	}
}

// localPair is a connection of which one end has at once what the other has sent.
func localPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, steady.New(server, 10*time.Second)
}
