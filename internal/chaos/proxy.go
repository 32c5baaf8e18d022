// Package chaos is a TCP proxy that does to connections what bad networks do:
// it delays them, makes them slow, cuts them into pieces, changes a byte, ends
// or resets them, and forgets them without a word.
package chaos

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Proxy passes each connection that it accepts on to a target, with Faults of
// its own.
type Proxy struct {
	listener net.Listener
	target   string
	choose   func() Faults
	made     atomic.Int64
	running  sync.WaitGroup

	mu     sync.Mutex
	links  map[*link]struct{}
	closed bool
}

// Listen starts a proxy on a port of 127.0.0.1. It asks choose for the faults
// of each connection, one at a time.
func Listen(target string, choose func() Faults) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: target, choose: choose, links: map[*link]struct{}{}}
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens, as host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Made returns how many connections to the target there have been.
func (p *Proxy) Made() int64 { return p.made.Load() }

// Reset resets every connection that there is now.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Close ends the proxy with all of its connections, and waits until nothing of
// them is left.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		l.reset()
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // no descriptor is left, say
			continue
		}
		faults := p.choose()
		p.running.Go(func() { p.pass(near.(*net.TCPConn), faults) })
	}
}

// pass is one connection's life.
func (p *Proxy) pass(near *net.TCPConn, faults Faults) {
	defer near.Close()
	conn, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = near.SetLinger(0)
		return
	}
	p.made.Add(1)
	far := conn.(*net.TCPConn)
	defer far.Close()
	l := &link{near: near, far: far, faults: faults, over: make(chan struct{})}
	if !p.add(l) {
		return
	}
	defer p.remove(l)
	var both sync.WaitGroup
	both.Go(func() { l.pump(far, near, faults.CorruptUp) })
	both.Go(func() { l.pump(near, far, faults.CorruptDown) })
	both.Wait()
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.links[l] = struct{}{}
	}
	return !p.closed
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// link is a connection: from the client, and on to the target.
type link struct {
	near, far *net.TCPConn
	faults    Faults
	passed    atomic.Int64  // bytes, both ways
	over      chan struct{} // closed with the sockets
	once      sync.Once
}

// pump passes on what comes from src until its end, or the fault's.
func (l *link) pump(dst, src *net.TCPConn, corrupt int64) {
	buf := make([]byte, l.faults.piece())
	var before int64
	for {
		n, err := src.Read(buf)
		if n > 0 && !l.forgotten() {
			if at := corrupt - before; corrupt > 0 && at > 0 && at <= int64(n) {
				buf[at-1] ^= 0x20
			}
			before += int64(n)
			l.forward(dst, buf[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, syscall.ECONNRESET):
			if !l.forgotten() {
				l.reset()
			}
			return
		case l.forgotten(): // the other side learns nothing of it
			return
		default:
			_ = dst.CloseWrite()
			return
		}
	}
}

// forward passes a piece on, after its time, and up to the byte at which the
// connection ends.
func (l *link) forward(dst *net.TCPConn, piece []byte) {
	wait := l.faults.Delay
	if l.faults.Rate > 0 {
		wait += time.Duration(len(piece)) * time.Second / time.Duration(l.faults.Rate)
	}
	if wait > 0 && !l.sleep(wait) {
		return
	}
	total := l.passed.Add(int64(len(piece)))
	if l.faults.End != Lasts && total > l.faults.After {
		piece = piece[:max(0, int64(len(piece))-(total-l.faults.After))]
	}
	_, _ = dst.Write(piece) // what fails here fails at the next read, too
	if l.faults.End != Lasts && total >= l.faults.After {
		l.end()
	}
}

// end does what is to happen when enough was passed on.
func (l *link) end() {
	switch l.faults.End {
	case Cut:
		l.close()
	case Reset:
		l.reset()
	case Lasts, Forgotten: // which forgotten tells
	}
}

// forgotten reports whether nothing is passed on any more. Both sides are still
// read from, so that each can end in its own time.
func (l *link) forgotten() bool {
	return l.faults.End == Forgotten && l.passed.Load() >= l.faults.After
}

func (l *link) reset() {
	_ = l.near.SetLinger(0)
	_ = l.far.SetLinger(0)
	l.close()
}

func (l *link) close() {
	l.once.Do(func() { close(l.over) })
	l.near.Close()
	l.far.Close()
}

// sleep reports whether the connection is still there after d.
func (l *link) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.over:
		return false
	}
}
