package gateway

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/cost"
	"github.com/linegate/linegate/wire"
)

// TestTurns: handshakes take their turns in the order of their coming. One that
// would wait too long for its first is refused at once; no other is, but none
// waits for ever.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handshakes{max: 1}
		first := h.someone()
		if err := first.Begin(); err != nil {
			t.Fatal(err)
		}
		var order []int
		for i := range 3 {
			go func() {
				next := h.someone()
				if err := next.Begin(); err != nil {
					t.Error(err)
				}
				order = append(order, i)
				time.Sleep(100 * time.Millisecond) // of synctest's clock
				next.End()
			}()
			synctest.Wait() // it stands in line
		}
		first.End()
		if err := first.Begin(); err != nil { // behind the three
			t.Error(err)
		}
		if want := []int{0, 1, 2}; !slices.Equal(order, want) {
			t.Errorf("turns went to %v", order)
		}

		h.took(cost.Jobs, time.Minute) // so that of each of the next as much is expected
		waited := func(who *turn) time.Duration {
			begun := time.Now()
			if err := who.Begin(); !errors.Is(err, errBusy) {
				t.Errorf("got %v", err)
			}
			return time.Since(begun)
		}
		for range 2 {
			go waited(h.someone())
			synctest.Wait()
		}
		if d := waited(h.someone()); d != 0 {
			t.Errorf("refused after %v", d)
		}
		begun := h.someone()
		begun.since = time.Now()
		if d := waited(begun); d != time.Minute {
			t.Errorf("given up after %v, a minute before its deadline", d)
		}
		synctest.Wait() // the two have given up as well
		first.End()
		if h.running != 0 || h.line.Len() != 0 {
			t.Errorf("%d run, %d wait", h.running, h.line.Len())
		}
	})
}

// someone is a handshake with time.
func (h *handshakes) someone() *turn {
	return &turn{handshakes: h, conn: new(conn), until: time.Now().Add(time.Minute)}
}

// took lets n handshakes have taken so long.
func (h *handshakes) took(n int, d time.Duration) {
	for range n {
		(&turn{handshakes: h, spent: d}).succeeded()
	}
}

// least is what a handshake is said to take.
func (h *handshakes) least() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cost.Least()
}

// TestCostOfAHandshake is that of all its turns, if it succeeds: pieces of a hello and
// strangers who send some bytes, however many, do not make the next ones look cheap.
func TestCostOfAHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handshakes{max: 1}
		shake := func(turns ...time.Duration) *turn {
			one := h.someone()
			for _, d := range turns {
				if err := one.Begin(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(d) // of synctest's clock
				one.End()
			}
			return one
		}
		for range cost.Jobs {
			shake(1, 1, 40*time.Millisecond, 10*time.Millisecond-2).succeeded()
			shake(1)
		}
		if least := h.least(); least != 50*time.Millisecond {
			t.Errorf("said to be %v", least)
		}
	})
}

// TestNoTurnForTheEnded: a connection that is told to end while its handshake waits in
// line has nothing computed, and the next in line has the turn.
func TestNoTurnForTheEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handshakes{max: 1}
		first, ended, last := h.someone(), h.someone(), h.someone()
		if err := first.Begin(); err != nil {
			t.Fatal(err)
		}
		begin := func(who *turn) <-chan error {
			began := make(chan error, 1)
			go func() { began <- who.Begin() }()
			synctest.Wait() // it stands in line
			return began
		}
		noTurn, itsTurn := begin(ended), begin(last)
		ended.conn.ended = wire.Draining
		first.End()
		if err := <-noTurn; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the ended: %v", err)
		}
		if err := <-itsTurn; err != nil {
			t.Errorf("the last: %v", err)
		}
		last.End()
		if h.running != 0 {
			t.Errorf("%d run", h.running)
		}
	})
}

// secured is a gateway with TLS that computes one handshake at a time.
type secured struct {
	*fixture
	client *tls.Config
}

func startSecured(t *testing.T) *secured {
	a := certtest.New(t)
	secure, err := NewTLS(tlsFiles(a))
	if err != nil {
		t.Fatal(err)
	}
	f := &secured{fixture: start(t, Config{}, secure)}
	f.handshakes.max = 1
	f.client = &tls.Config{RootCAs: a.Roots(), ServerName: "localhost"}
	return f
}

// shake is a client that begins its handshake and then says "in".
func (f *secured) shake() (welcomed <-chan error) {
	f.t.Helper()
	nc := tls.Client(f.dial().Conn, f.client)
	done := make(chan error, 1)
	go func() {
		io.WriteString(nc, "in\n")
		_, err := io.ReadFull(nc, make([]byte, len("welcome\n")))
		done <- err
	}()
	return done
}

// TestHandshakesInExcess: while others are computed a handshake waits, sessions are
// served, and what cannot be taken in time is closed without a byte.
func TestHandshakesInExcess(t *testing.T) {
	f := startSecured(t)
	f.handshakes.took(cost.Jobs-1, 2*time.Hour) // with one more, enough is known
	session := tls.Client(f.dial().Conn, f.client)
	io.WriteString(session, "in\n")
	exchange := func(line, want string) {
		t.Helper()
		io.WriteString(session, line)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(session, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	exchange("", "welcome\n")
	if least := f.handshakes.least(); least <= 0 || least > time.Hour {
		t.Errorf("a handshake is said to take %v", least)
	}

	other := f.handshakes.someone()
	if err := other.Begin(); err != nil {
		t.Fatal(err)
	}
	waits := f.shake()
	f.waitLine(1)
	exchange("hello\n", "hello\n")
	f.handshakes.took(cost.Jobs, 2*time.Hour)
	refused := f.dial()
	refused.Write(clientHello(t))
	if rest, err := io.ReadAll(refused); len(rest) > 0 { // an end, or a reset
		t.Errorf("told %q, %v", rest, err)
	}
	exchange("still\n", "still\n")
	other.End()
	if err := <-waits; err != nil {
		t.Errorf("who waited: %v", err)
	}
	f.drained()
	if n := f.closed(wire.TemporarilyUnavailable); n != 1 {
		t.Errorf("%d closed as %s", n, wire.TemporarilyUnavailable)
	}
	if n := f.closed(wire.TLSFailed); n != 0 {
		t.Errorf("%d closed as %s", n, wire.TLSFailed)
	}
	if record := `msg="TLS handshake given up" listener=devices error="too many`; strings.Count(f.log.String(), record) != 1 {
		t.Errorf("logged:\n%s", f.log)
	}
}

// waitLine waits until n handshakes stand in line.
func (f *secured) waitLine(n int) {
	f.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		f.handshakes.mu.Lock()
		waiting := f.handshakes.line.Len()
		f.handshakes.mu.Unlock()
		if waiting == n {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%d wait", waiting)
		}
	}
}

// TestSlowHandshakesHoldNoTurn: clients that stop in the middle of their hello, or
// behind it, keep nobody waiting.
func TestSlowHandshakesHoldNoTurn(t *testing.T) {
	f := startSecured(t)
	hello := clientHello(t)
	for _, sent := range []int{0, 1, 5, 100, len(hello) - 1} {
		f.dial().Write(hello[:sent])
	}
	half := f.dial()
	half.Write(hello)
	if _, err := io.ReadFull(half, make([]byte, 5)); err != nil { // the server has done its part
		t.Fatal(err)
	}
	if err := <-f.shake(); err != nil {
		t.Error(err)
	}
}

// TestHandshakeTimeout: a stranger who trickles its way through a TLS
// handshake is cut off by an absolute deadline.
func TestHandshakeTimeout(t *testing.T) {
	secure, hello := newTestTLS(t), string(clientHello(t))
	synctest.Test(t, func(t *testing.T) {
		g := startPiped(t, Config{Timeouts: Timeouts{Handshake: 10 * time.Second}}, &Listener{TLS: secure})
		c := g.dial()
		begun := time.Now()
		var sender sync.WaitGroup
		sender.Go(func() { io.Copy(c, &trickle{text: hello}) })
		c.expectEnd()
		if took := time.Since(begun); took != 10*time.Second {
			t.Errorf("cut off after %v", took)
		}
		sender.Wait()
		synctest.Wait()
		if n := g.closed(wire.TLSFailed); n != 1 {
			t.Errorf("%d failed handshakes", n)
		}
	})
}

// clientHello is what a client sends first.
func clientHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	hello := make(chan []byte, 1)
	go func() {
		defer far.Close()
		b := make([]byte, 16<<10)
		n, _ := far.Read(b)
		hello <- bytes.Clone(b[:n])
	}()
	if err := tls.Client(near, &tls.Config{ServerName: "localhost"}).Handshake(); err == nil {
		t.Fatal("a handshake with nobody")
	}
	return <-hello
}
