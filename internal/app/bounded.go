package app

import (
	"net"
	"sync"
)

// bounded is a listener of which a number of connections is open at once at
// most. Further ones wait in the system's queue, and take no descriptor.
type bounded struct {
	net.Listener
	free chan struct{} // has what may be opened
	done chan struct{} // closed with the listener
	once sync.Once
}

func newBounded(l net.Listener, most int) *bounded {
	b := &bounded{Listener: l, free: make(chan struct{}, most), done: make(chan struct{})}
	for range most {
		b.free <- struct{}{}
	}
	return b
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case <-b.free:
	case <-b.done:
		return nil, net.ErrClosed
	}
	nc, err := b.Listener.Accept()
	if err != nil {
		b.free <- struct{}{}
		return nil, err
	}
	return &boundedConn{Conn: nc, free: b.free}, nil
}

func (b *bounded) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Listener.Close()
}

// boundedConn makes room for another when it is closed.
type boundedConn struct {
	net.Conn
	free chan<- struct{}
	once sync.Once
}

func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.free <- struct{}{} })
	return err
}
