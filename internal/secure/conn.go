// Package secure is the server's side of a TLS connection that nobody has to
// wait in. A goroutine that waits inside of crypto/tls holds a buffer, and a
// stack that decryption made deep, for as long as its client is silent; and one
// that writes there holds a lock which a reader may need to answer a KeyUpdate.
// Here whoever reads waits for the socket itself and then takes what has come,
// and whoever writes waits when no lock of TLS is held any more.
package secure

import (
	"crypto/tls"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/linegate/linegate/internal/steady"
)

// Conn is a TLS connection. One goroutine at a time may read from it; any may
// write.
type Conn struct {
	*tls.Conn
	beneath socket
	left    bool // TLS may hold more than ReadReady had room for
}

// Server returns the server's side of nc. Handshake comes next.
func Server(nc *steady.Conn, cfg *tls.Config) *Conn {
	c := &Conn{beneath: socket{Conn: nc, fd: steady.NoFD}}
	c.beneath.raw, _ = nc.SyscallConn()
	c.Conn = tls.Server(&c.beneath, cfg)
	return c
}

// SyscallConn gives access to the socket, to wait there until ReadReady has
// something to read.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.beneath.raw == nil {
		return nil, errors.ErrUnsupported
	}
	return c.beneath.raw, nil
}

// ReadReady fills b with what has come, without waiting, from the socket whose
// descriptor is fd. When nothing has, it returns syscall.EAGAIN, and has needed
// little stack; when it is not enough to decrypt, 0 and nil. With n less than
// len(b) this call read the socket until it gave less than there was room for; it
// is not read again to learn that it is empty, so the end of the stream may be there
// already. A client that has KeyUpdates answered and takes nothing ends it with
// os.ErrDeadlineExceeded.
func (c *Conn) ReadReady(fd int, b []byte) (n int, err error) {
	u := &c.beneath
	if u.ended == syscall.EAGAIN {
		u.ended = nil // it was so in an earlier call
	}
	if len(u.input) == 0 && !c.left {
		n, err := readSocket(fd, b)
		if n == 0 && err == syscall.EAGAIN {
			return 0, err
		}
		u.give(b[:n], err)
	}
	return c.decrypt(fd, b)
}

// decrypt is ReadReady where there is something to read.
func (c *Conn) decrypt(fd int, b []byte) (n int, err error) {
	u := &c.beneath
	u.fd = fd
	for n < len(b) && err == nil {
		var read int
		read, err = c.Conn.Read(b[n:])
		n += read
	}
	u.fd = steady.NoFD
	u.push(fd) // what TLS had to answer
	c.left = err == nil
	switch {
	case err == syscall.EAGAIN:
		err = nil
	case err != nil && u.failure() != nil:
		err = u.failure() // TLS does not read on behind a KeyUpdate that it could not answer
	}
	return n, err
}

// WriteReady encrypts b and writes what the socket takes at once. It takes a part
// of b only when not all that was encrypted so far has gone, or an error waits
// for the next Write. fd is the descriptor where the caller has it; else
// steady.NoFD.
func (c *Conn) WriteReady(fd int, b []byte) (n int) {
	for len(b) > 0 && !c.Unsent() {
		taken, err := c.Conn.Write(b[:min(len(b), chunk)])
		c.beneath.push(fd)
		n += taken
		b = b[taken:]
		if err != nil {
			break
		}
	}
	return n
}

// chunk is how much is encrypted at most before it goes to the socket.
const chunk = 16 << 10

// Unsent reports whether something is encrypted that the socket did not take,
// and that Write, which can also be given nothing, has to see to.
func (c *Conn) Unsent() bool { return c.beneath.unsent() }

// Write encrypts b, and returns when all that was encrypted has been written.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if flushed := c.beneath.flush(); err == nil {
		err = flushed
	}
	return n, err
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error { return c.beneath.Conn.SetDeadline(t) }

// SetReadDeadline bounds waiting for the socket, and reading from it.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.beneath.Conn.SetReadDeadline(t) }

// SetWriteDeadline bounds writing to the socket.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.beneath.Conn.SetWriteDeadline(t) }

// socket is what TLS believes to be its connection.
type socket struct {
	*steady.Conn
	raw    syscall.RawConn // nil: it has no socket, and whoever writes waits
	queues bool            // Write does not wait: after the handshake

	// Owned by whoever reads.
	turn   Turn // of a handshake
	inTurn bool
	heard  int    // in the handshake, since it was answered last
	fd     int    // while ReadReady reads; else NoFD
	input  []byte // read and not yet taken by TLS
	ended  error  // what the last read ended with; EAGAIN: there was no more

	mu       sync.Mutex
	queue    []byte // what the socket did not take
	flushing bool   // a goroutine writes it
	failed   error
}

// Read is what TLS reads with. When ReadReady finds nothing it says EAGAIN: a
// net.Error that is temporary, after which TLS can be asked again.
func (u *socket) Read(b []byte) (int, error) {
	if len(u.input) == 0 && u.ended == nil && u.fd != steady.NoFD {
		u.fill()
	}
	switch {
	case len(u.input) > 0:
		return u.take(b), nil
	case u.fd != steady.NoFD:
		return 0, u.ended
	case u.turn != nil:
		return u.readInTurn(b)
	}
	return u.Conn.Read(b)
}

// fill reads from the socket.
func (u *socket) fill() {
	buf := buffers.Get().(*[bufferSize]byte)[:]
	n, err := readSocket(u.fd, buf)
	u.input, u.ended = buf[:n], err
	u.take(nil) // which gives back a buffer that is empty
}

// give leaves b for TLS to read, and what comes after it.
func (u *socket) give(b []byte, ended error) {
	u.ended = ended
	if len(b) > 0 {
		u.input = append(buffers.Get().(*[bufferSize]byte)[:0], b...)
	}
}

// readSocket reads what there is. The error is for the next read: EAGAIN when
// there is no more, which is most likely after a read that did not fill b.
func readSocket(fd int, b []byte) (n int, err error) {
	n, err = steady.ReadNow(fd, b)
	if err == nil && n < len(b) {
		err = syscall.EAGAIN
	}
	return n, err
}

// take gives TLS what was read.
func (u *socket) take(b []byte) int {
	n := copy(b, u.input)
	u.input = u.input[:copy(u.input, u.input[n:])]
	if len(u.input) == 0 {
		release(u.input)
		u.input = nil
	}
	return n
}

// Write is what TLS writes with, while it holds its lock.
func (u *socket) Write(b []byte) (int, error) {
	if !u.queues {
		return u.writeInTurn(b)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed == nil && len(u.queue) > maxQueue {
		// A client that has its KeyUpdates answered, and takes nothing.
		u.failed = os.ErrDeadlineExceeded
	}
	if u.failed != nil {
		return 0, u.failed
	}
	if u.queue == nil {
		u.queue = buffers.Get().(*[bufferSize]byte)[:0]
	}
	u.queue = append(u.queue, b...)
	return len(b), nil
}

// maxQueue is how much the socket may not have taken when more is to be
// written. Who writes lines lets them go before the next; only what TLS itself
// has to say can come to so much.
const maxQueue = 64 << 10

// push hands the socket what it takes at once.
func (u *socket) push(fd int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.queue) == 0 || u.flushing {
		return
	}
	n := steady.WriteNow(u.raw, fd, u.queue)
	if u.queue = u.queue[:copy(u.queue, u.queue[n:])]; len(u.queue) == 0 {
		release(u.queue)
		u.queue = nil
	}
}

// flush writes what is queued.
func (u *socket) flush() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.queue) > 0 && !u.flushing {
		b := u.queue
		u.queue, u.flushing = nil, true
		err := u.writeQueued(b)
		u.flushing = false
		if err != nil && u.failed == nil {
			u.failed, u.queue = err, nil
		}
	}
	return u.failed
}

// writeQueued is called with mu held, and writes without it.
func (u *socket) writeQueued(b []byte) error {
	u.mu.Unlock()
	defer u.mu.Lock()
	_, err := u.Conn.Write(b)
	release(b)
	return err
}

func (u *socket) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failed
}

func (u *socket) unsent() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.queue) > 0 || u.flushing
}

// CloseWrite ends the stream behind what is queued.
func (u *socket) CloseWrite() error {
	if err := u.flush(); err != nil {
		return err
	}
	return u.Conn.CloseWrite()
}

// Close closes the connection behind what the socket takes at once.
func (u *socket) Close() error {
	u.push(steady.NoFD)
	return u.Conn.Close()
}

// SetWriteDeadline is what TLS bounds the writing of its last alert with, which
// waits for nobody here.
func (*socket) SetWriteDeadline(time.Time) error { return nil }

// buffers hold what is queued, of a usual size.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

const bufferSize = 4 << 10

func release(b []byte) {
	if cap(b) == bufferSize {
		buffers.Put((*[bufferSize]byte)(b[:bufferSize]))
	}
}
