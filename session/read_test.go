package session

import (
	"bufio"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// TestPausedMachine: lines that wait when a deadline fires late are served,
// and their client is not idle.
func TestPausedMachine(t *testing.T) {
	for name, behind := range map[string]func(*standstill, *steady.Conn) net.Conn{
		"by socket": func(p *standstill, nc *steady.Conn) net.Conn { return pausedSocket{nc, p} },
		"by Read":   func(p *standstill, nc *steady.Conn) net.Conn { return pausedConn{nc, p} },
	} {
		t.Run(name, func(t *testing.T) {
			client, server := tcpPair(t)
			defer client.Close()
			clock := newTestClock()
			srv := castServer(t, Rules{}, clock, castAuth{now: clock.wall})
			p := &standstill{make(chan struct{}, 1), make(chan bool, 1)}
			s, ended := serve(srv, behind(p, server.(*steady.Conn)))
			in := bufio.NewReader(client)
			io.WriteString(client, "AUTH alice.3000\n")
			p.look()
			expect(t, in, "OK AUTH ")
			for range 20 {
				io.WriteString(client, "ping\n")
				p.meetDeadline(func() { clock.add(31*time.Second, 31*time.Second) })
				p.look()
				expect(t, in, "pong\n")
				if s.raw != nil { // it is waiting still, for a moment
					p.meetDeadline(func() {})
				}
			}
			client.Close()
			p.look()
			if got := <-ended; got != wire.ClientClosed {
				t.Fatalf("ended for %s", got)
			}
		})
	}
}

// standstill makes a machine that stands still now and then: the test says whenever
// somebody waits for input whether that meets its deadline or looks at the socket.
type standstill struct {
	waits    chan struct{} // told when it begins
	deadline chan bool
}

// meetDeadline does what happens before the waiting is over.
func (p *standstill) meetDeadline(meanwhile func()) {
	<-p.waits // who does has looked at the clock before
	meanwhile()
	p.deadline <- true
}

func (p *standstill) look() {
	<-p.waits
	p.deadline <- false
}

func (p *standstill) wait() (met bool) {
	p.waits <- struct{}{}
	return <-p.deadline
}

// pausedConn is read by Read.
type pausedConn struct {
	net.Conn
	pause *standstill
}

func (c pausedConn) Read(b []byte) (int, error) {
	if c.pause.wait() {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Read(b)
}

// pausedSocket is waited for by its RawConn.
type pausedSocket struct {
	*steady.Conn
	pause *standstill
}

func (c pausedSocket) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.Conn.SyscallConn()
	return pausedRaw{raw, c.pause}, err
}

type pausedRaw struct {
	syscall.RawConn
	pause *standstill
}

func (r pausedRaw) Read(readable func(fd uintptr) bool) error {
	for done := false; !done; {
		if r.pause.wait() {
			return os.ErrDeadlineExceeded
		}
		if err := r.Control(func(fd uintptr) { done = readable(fd) }); err != nil {
			return err
		}
	}
	return nil
}
