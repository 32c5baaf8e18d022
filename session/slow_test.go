package session

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// TestPipelineAndReadLater: a client that sends far more than the gateway
// keeps for it, and reads only when it can send no more, loses nothing.
func TestPipelineAndReadLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		pipelineAndRead(t, client, steady.New(server, time.Hour), func(sent <-chan error) {
			synctest.Wait() // until everybody is stuck
			select {
			case err := <-sent:
				t.Fatalf("everything went out unread: %v", err)
			default:
			}
		})
	})
	for name, pair := range transports(t) {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			pipelineAndRead(t, client, server, func(<-chan error) {})
		})
	}
}

func pipelineAndRead(t *testing.T, client, server net.Conn, stall func(sent <-chan error)) {
	defer client.Close()
	srv := newServer(t, Config{Rules: Rules{MaxOutbound: 16 << 10}})
	_, in, ended := connect(t, srv, client, server)
	const lines = 50_000
	text := strings.Repeat("x", 100)
	sent := make(chan error, 1)
	go func() {
		out := bufio.NewWriter(client)
		for i := range lines {
			fmt.Fprintf(out, "%d %s\n", i, text)
		}
		sent <- out.Flush()
	}()
	stall(sent)
	for i := range lines {
		line, err := in.ReadString('\n')
		if want := fmt.Sprintf("from server: %d %s\n", i, text); err != nil || line != want {
			t.Fatalf("line %d: %q, %v", i, line, err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	client.Close()
	if got := <-ended; got != wire.ClientClosed {
		t.Fatal(got)
	}
}

// TestSlowConsumer: a client that takes no byte for write_timeout is dropped,
// one that takes a byte now and then is not.
func TestSlowConsumer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration // between two bytes that the client takes
		want  wire.Code
	}{
		{"takes nothing", time.Hour, wire.SlowConsumer},
		{"takes a byte in 9 s", 9 * time.Second, wire.ClientClosed},
		{"takes a byte in 11 s", 11 * time.Second, wire.SlowConsumer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				srv := newServer(t, Config{Rules: Rules{IdleTimeout: time.Hour}})
				_, _, ended := connect(t, srv, client, steady.New(server, 10*time.Second))
				in := bytewise(client)
				go io.WriteString(client, "ten bytes.\n")
				for range len("from server: ten bytes.\n") {
					time.Sleep(tt.pause) // synctest's clock
					if _, err := in.ReadByte(); err != nil {
						break
					}
				}
				client.Close()
				if got := <-ended; got != tt.want {
					t.Fatalf("ended for %s", got)
				}
			})
		})
	}
}

// bytewise reads no byte before it is asked for.
func bytewise(client net.Conn) *bufio.Reader { return bufio.NewReader(iotest.OneByteReader(client)) }

// TestStallIsTimedFromTheLastByte: a client that took some of a write and then
// nothing has write_timeout, not twice that, and the close waits no longer.
func TestStallIsTimedFromTheLastByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		srv := newServer(t, Config{Rules: Rules{IdleTimeout: time.Hour}})
		_, _, ended := connect(t, srv, client, steady.New(server, 8*time.Second))
		in := bytewise(client)
		go io.WriteString(client, "ten bytes.\n")
		time.Sleep(7 * time.Second)
		in.ReadByte()
		last := time.Now()
		if got := <-ended; got != wire.SlowConsumer {
			t.Fatalf("ended for %s", got)
		}
		if took := time.Since(last); took < 7*time.Second || took > 9*time.Second {
			t.Fatalf("ended %v after the last byte", took)
		}
	})
}

// TestReadingAllIsSeen: whenever a client has read all that there is, its socket
// takes more from the gateway's: it has taken a byte, as far as that can see.
func TestReadingAllIsSeen(t *testing.T) {
	client, server := tcpPair(t)
	s, _, ended := connect(t, newServer(t, Config{Rules: Rules{MaxOutbound: 32 << 20}}), client, server)
	stall(t, s)
	for unsent := s.out.unsentBytes(); unsent > 0; unsent = s.out.unsentBytes() {
		readAllThereIs(t, client.(*net.TCPConn))
		for s.out.unsentBytes() == unsent {
			time.Sleep(time.Millisecond)
		}
	}
	client.Close()
	<-ended
}

func readAllThereIs(t *testing.T, client *net.TCPConn) {
	t.Helper()
	raw, err := client.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	room := make([]byte, 64<<10)
	var ended error
	if err := raw.Read(func(fd uintptr) bool {
		for ended == nil {
			_, ended = steady.ReadNow(int(fd), room)
		}
		return true
	}); err != nil || ended != syscall.EAGAIN {
		t.Fatal(err, ended)
	}
}

// TestIdleStandsStillWhileNotReading: the gateway that waits for its client to
// take replies does not call the client idle.
func TestIdleStandsStillWhileNotReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		srv := newServer(t, Config{Rules: Rules{IdleTimeout: 30 * time.Second, MaxOutbound: 64}})
		_, in, ended := connect(t, srv, client, steady.New(server, time.Hour))
		text := strings.Repeat("x", 100)
		io.WriteString(client, text+"\n")
		time.Sleep(29 * time.Minute)
		expect(t, in, "from server: "+text)
		synctest.Wait() // it reads again
		time.Sleep(29 * time.Second)
		io.WriteString(client, "ping\n")
		expect(t, in, "pong")
		time.Sleep(30 * time.Second)
		expect(t, in, "BYE idle_timeout")
		client.Close()
		if got := <-ended; got != wire.IdleTimeout {
			t.Fatalf("ended for %s", got)
		}
	})
}

// TestExpiryWhileStalled: a session that is stuck writing ends at its expiry
// all the same.
func TestExpiryWhileStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		srv := newServer(t, Config{Rules: Rules{MaxOutbound: 64, IdleTimeout: 2 * time.Hour}})
		s, _, ended := connect(t, srv, client, steady.New(server, 2*time.Hour))
		start := time.Now()
		io.WriteString(client, strings.Repeat("x", 100)+"\n")
		if got := <-ended; got != wire.TokenExpired {
			t.Fatalf("ended for %s", got)
		}
		// The hour of the token, a second's spread, and write_timeout for what
		// is unsent.
		if took := time.Since(start); took > time.Hour+time.Second+s.machine.rules.WriteTimeout {
			t.Fatalf("took %v", took)
		}
	})
}

// TestOutboxKeepsNothing: a session whose client was late to read holds no buffer,
// and has no writer, once the client has it all.
func TestOutboxKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe() // which takes nothing by itself
		s, in, ended := connect(t, newServer(t, Config{}), client, steady.New(server, time.Minute))
		for range 3 { // as large the second time as the first
			const lines = 30
			text := bytes.Repeat([]byte("x"), 8000)
			for range lines {
				if err := s.Push(text); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if n := s.out.size(); n < (lines-1)*len(text) {
				t.Fatalf("%d bytes are unsent", n)
			}
			for range lines {
				expect(t, in, "from server: xxx")
			}
			synctest.Wait()
			if s.out.backlog != nil {
				t.Errorf("it holds %+v", s.out.backlog)
			}
		}
		client.Close()
		_, _ = io.Copy(io.Discard, in)
		<-ended
	})
}
