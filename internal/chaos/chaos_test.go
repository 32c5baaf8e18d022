package chaos

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// said is long enough to go in several pieces where these are small.
var said = bytes.Repeat([]byte("0123456789abcdef"), 64)

// Each fault does to a connection with a server that echoes what it says, and
// nothing else.
func TestFaults(t *testing.T) {
	for _, row := range []struct {
		name   string
		faults Faults
		heard  []byte // of what was said
		err    error  // behind it; nil: the end of the stream
		least  time.Duration
	}{
		{name: "none", heard: said},
		{name: "small pieces", faults: Faults{Piece: 7}, heard: said},
		{name: "delay", faults: Faults{Delay: 30 * time.Millisecond}, heard: said, least: 60 * time.Millisecond},
		{name: "throttle", faults: Faults{Rate: 16 << 10}, heard: said, least: 120 * time.Millisecond},
		{name: "corrupt to the target", faults: Faults{CorruptUp: 3}, heard: changed(said, 3)},
		{name: "corrupt from the target", faults: Faults{CorruptDown: 1024}, heard: changed(said, 1024)},
		{name: "corrupt in small pieces", faults: Faults{Piece: 5, CorruptUp: 500}, heard: changed(said, 500)},
		{name: "cut", faults: Faults{End: Cut, After: 1024 + 100}, heard: said[:100]},
		{name: "reset", faults: Faults{End: Reset, After: 1024}, heard: said[:0], err: syscall.ECONNRESET},
		{name: "forgotten", faults: Faults{End: Forgotten, After: 1024 + 100}, heard: said[:100], err: os.ErrDeadlineExceeded},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := dial(t, start(t, row.faults))
			begun := time.Now()
			if _, err := c.Write(said); err != nil {
				t.Fatal(err)
			}
			if row.faults.End == Lasts {
				_ = c.CloseWrite() // which is passed on
			}
			heard, err := io.ReadAll(io.LimitReader(c, int64(len(row.heard))))
			if errors.Is(row.err, os.ErrDeadlineExceeded) {
				_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // for what must not come
			}
			more, ended := io.ReadAll(c)
			heard, err = append(heard, more...), errors.Join(err, ended)
			if !bytes.Equal(heard, row.heard) || !errors.Is(err, row.err) {
				t.Errorf("heard %d bytes %.40q, %v; want %d bytes %.40q, %v", len(heard), heard, err, len(row.heard), row.heard, row.err)
			}
			if took := time.Since(begun); took < row.least {
				t.Errorf("it took %v, want %v at least", took, row.least)
			}
		})
	}
}

// A reset by the client is one for the target, too.
func TestResetIsPassedOn(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c := dial(t, proxyTo(t, server.Addr().String(), Faults{}))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	far, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if _, err := io.ReadFull(far, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetLinger(0)
	c.Close()
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the target got %v", err)
	}
}

// Reset ends the connections of now, and later ones are passed on.
func TestProxyReset(t *testing.T) {
	p := start(t, Faults{})
	c := dial(t, p)
	echo(t, c)
	p.Reset()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
	echo(t, dial(t, p))
	if p.Made() != 2 {
		t.Errorf("%d connections made", p.Made())
	}
}

// A target that does not answer is a connection that is reset.
func TestNoTarget(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	c, err := net.Dial("tcp", proxyTo(t, gone.Addr().String(), Faults{}).Addr())
	if err == nil { // else it was reset as soon
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
}

func changed(text []byte, number int) []byte {
	text = bytes.Clone(text)
	text[number-1] ^= 0x20
	return text
}

// start returns a proxy to a server that echoes.
func start(t *testing.T, faults Faults) *Proxy {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return proxyTo(t, server.Addr().String(), faults)
}

func proxyTo(t *testing.T, target string, faults Faults) *Proxy {
	t.Helper()
	p, err := Listen(target, func() Faults { return faults })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

func echo(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}
