package session

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// TestLinesPerSecond: a client that sends 10,000 lines at once, with 100 a second
// allowed, gets every answer, in order and exactly at that pace, and meanwhile the
// gateway has read no more of them than fits in one small buffer.
func TestLinesPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		srv := newServer(t, Config{Rules: Rules{LinesPerSecond: 100}})
		s, in, ended := connect(t, srv, client, steady.New(server, time.Hour))
		start := time.Now()
		const lines, size = 10_000, len("0000\n")
		var sent atomic.Int64
		go func() {
			for i := range lines {
				fmt.Fprintf(client, "%04d\n", i)
				sent.Store(int64(i + 1))
			}
		}()
		for i := range lines {
			expect(t, in, fmt.Sprintf("from server: %04d\n", i))
			// AUTH was the first of the 100 of the first second. From then on, ten
			// are let go in a tenth of it.
			due := time.Duration(max(0, i-99+10)/10) * 100 * time.Millisecond
			if took := time.Since(start); took != due {
				t.Fatalf("line %d was answered after %v, want %v", i, took, due)
			}
			if i%1000 != 508 { // the last of ten: nothing that was answered is unread
				continue
			}
			synctest.Wait() // the next one waits
			if read := int(sent.Load()) - i; read*size > smallBuffer+10*size {
				t.Fatalf("line %d is answered, and %d more are read", i, read)
			}
			s.mu.Lock() // which the session takes before it goes on
			if unsent := s.out.unsentBytes(); cap(s.in) > smallBuffer || s.reply.buf != nil || unsent > 0 {
				t.Fatalf("line %d: a session that waits holds %d bytes of input, and %d + %d of replies", i, cap(s.in), cap(s.reply.buf), unsent)
			}
			s.mu.Unlock()
		}
		client.Close()
		if got := <-ended; got != wire.ClientClosed {
			t.Fatal(got)
		}
	})
}

// TestWithinLinesPerSecond: a client that stays within its rate waits for nothing,
// however it spreads its lines.
func TestWithinLinesPerSecond(t *testing.T) {
	for _, batch := range []int{1, 3, 50} {
		t.Run(fmt.Sprintf("%d at once", batch), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				srv := newServer(t, Config{Rules: Rules{LinesPerSecond: 50}})
				_, in, ended := connect(t, srv, client, steady.New(server, time.Hour))
				for range 1000 / batch {
					time.Sleep(time.Duration(batch) * time.Second / 50)
					start := time.Now()
					go io.WriteString(client, strings.Repeat("ping\n", batch))
					for range batch {
						expect(t, in, "pong\n")
					}
					if took := time.Since(start); took != 0 {
						t.Fatalf("waited %v", took)
					}
				}
				client.Close()
				<-ended
			})
		})
	}
}

// TestLinesPerSecondOverSockets: over real TCP and TLS as well, nothing is lost and
// the pace is not exceeded; what a client said before it ended its stream is
// answered at that pace.
func TestLinesPerSecondOverSockets(t *testing.T) {
	for name, pair := range transports(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := pair(t)
			defer client.Close()
			const rate, lines = 2000, 4000
			srv := newServer(t, Config{Rules: Rules{LinesPerSecond: rate}})
			start := time.Now()
			_, in, ended := connect(t, srv, client, server)
			go func() {
				out := bufio.NewWriter(client)
				for i := range lines {
					fmt.Fprintf(out, "%d\n", i)
				}
				out.Flush()
				steady.EndStream(client)
			}()
			for i := range lines {
				expect(t, in, fmt.Sprintf("from server: %d\n", i))
			}
			// AUTH counts, and a second's lines come at once.
			if took, least := time.Since(start), time.Second*(lines+1-rate)/rate; took < least {
				t.Errorf("%d lines in %v, want at least %v", lines, took, least)
			}
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				t.Errorf("instead of the end: %q, %v", rest, err)
			}
			if got := <-ended; got != wire.ClientClosed {
				t.Error(got)
			}
		})
	}
}

// TestIdleStandsStillWhilePaced: a client whose line waits for its turn is not idle;
// from its turn on that time counts anew.
func TestIdleStandsStillWhilePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		srv := newServer(t, Config{Rules: Rules{LinesPerSecond: 1, IdleTimeout: 300 * time.Millisecond}})
		start := time.Now()
		_, in, ended := connect(t, srv, client, steady.New(server, time.Hour)) // AUTH is the line of the first second
		go io.WriteString(client, "ping\nping\n")
		for i, line := range []string{"pong\n", "pong\n", "BYE idle_timeout"} {
			expect(t, in, line)
			want := []time.Duration{time.Second, 2 * time.Second, 2300 * time.Millisecond}[i]
			if took := time.Since(start); took != want {
				t.Errorf("%q after %v, want %v", line, took, want)
			}
		}
		client.Close()
		if got := <-ended; got != wire.IdleTimeout {
			t.Fatalf("ended for %s", got)
		}
	})
}

// TestEndWhilePaced: whoever ends a session that waits for the turn of a line need
// not wait for it.
func TestEndWhilePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		srv := newServer(t, Config{Rules: Rules{LinesPerSecond: 1}})
		s, in, ended := connect(t, srv, client, steady.New(server, time.Hour))
		start := time.Now()
		io.WriteString(client, "ping\nping\n")
		synctest.Wait()
		s.End(wire.Draining, 0)
		expect(t, in, "BYE draining")
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		client.Close()
		<-ended
	})
}

// TestPacedAndFull: a client that neither keeps to its rate nor takes its answers
// costs no more than one that does the latter alone.
func TestPacedAndFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		const limit = 4 << 10
		srv := newServer(t, Config{Rules: Rules{LinesPerSecond: 10, MaxOutbound: limit, IdleTimeout: 3 * time.Hour}})
		s, _, ended := connect(t, srv, client, steady.New(server, 3*time.Hour))
		go io.Copy(client, strings.NewReader(strings.Repeat("\n", 1<<20)))
		for range 59 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if unsent := s.out.unsentBytes(); unsent > limit+10*len("from server: \n") {
				t.Fatalf("%d bytes are unsent", unsent)
			}
		}
		if got := <-ended; got != wire.TokenExpired {
			t.Fatalf("ended for %s", got)
		}
	})
}

// TestLinesPerSecondOfNewSessions: rules that change hold for connections that come
// later.
func TestLinesPerSecondOfNewSessions(t *testing.T) {
	for _, tt := range []struct {
		before, after int // the session is opened
		want          time.Duration
	}{
		{before: 1, after: 0, want: 2 * time.Second},
		{before: 0, after: 1, want: 0},
		{before: 2, after: 1, want: 500 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			srv := newServer(t, Config{Rules: Rules{LinesPerSecond: tt.before}})
			_, in, ended := connect(t, srv, client, steady.New(server, time.Hour))
			srv.SetRules(Rules{LinesPerSecond: tt.after})
			start := time.Now()
			go io.WriteString(client, "ping\nping\n")
			expect(t, in, "pong\n")
			expect(t, in, "pong\n")
			if took := time.Since(start); took != tt.want {
				t.Errorf("opened with %d a second, then %d: took %v, want %v", tt.before, tt.after, took, tt.want)
			}
			client.Close()
			<-ended
		})
	}
}
