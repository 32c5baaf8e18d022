package session

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/linegate/linegate/internal/steady"
)

// outbox is the way of every line to the client. Replies and pushed lines come
// in whole, so none stands inside another; what the socket does not take at
// once is written by a goroutine that lives only as long as it has something
// to write. A connection that is silent, or whose client keeps up, has none.
type outbox struct {
	s *Session // whose it is

	mu      sync.Mutex
	backlog *backlog // nil: nothing is unsent, and writing did not fail
}

// backlog is what the socket did not take.
type backlog struct {
	pending  []byte        // not yet handed to the writer
	inFlight int           // handed to it and not yet written
	writing  bool          // the writer's goroutine exists
	err      error         // why writing failed; final
	relief   chan struct{} // closed when unsent has fallen to reliefAt, or writing failed
	reliefAt int
}

// writeChunk is how much is handed to the connection at once: unsent bytes are
// counted down in such steps.
const writeChunk = 16 << 10

// add takes replies. It never blocks; whoever adds looks at full before
// reading on. fd is the socket, where the caller has it at hand; else steady.NoFD.
func (o *outbox) add(lines []byte, fd int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(lines, fd)
}

// push takes one line if it fits below the limit.
func (o *outbox) push(line []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size()+len(line) > o.limit() {
		return false
	}
	o.put(line, steady.NoFD)
	return true
}

func (o *outbox) put(lines []byte, fd int) {
	if o.failed() != nil || len(lines) == 0 {
		return
	}
	if !o.writing() && o.s.raw != nil {
		lines = lines[o.writeNow(lines, fd):]
	}
	if len(lines) > 0 {
		b := o.held()
		b.pending = append(b.pending, lines...)
	}
	o.startWriting()
}

// held returns the backlog, which is made if there was none.
func (o *outbox) held() *backlog {
	if o.backlog == nil {
		o.backlog = new(backlog)
	}
	return o.backlog
}

// size is how many bytes are unsent.
func (o *outbox) size() int {
	if o.backlog == nil {
		return 0
	}
	return len(o.backlog.pending) + o.backlog.inFlight
}

func (o *outbox) writing() bool { return o.backlog != nil && o.backlog.writing }

func (o *outbox) failed() error {
	if o.backlog == nil {
		return nil
	}
	return o.backlog.err
}

// writeNow writes what goes out without waiting.
func (o *outbox) writeNow(lines []byte, fd int) (n int) {
	if o.s.sealed == nil {
		n = steady.WriteNow(o.s.raw, fd, lines)
	} else if n = o.s.sealed.WriteReady(fd, lines); o.encrypted() {
		o.held().inFlight = n
	}
	o.sent(n)
	return n
}

// settle sees to what TLS itself had to say.
func (o *outbox) settle() {
	if o.encrypted() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.startWriting()
	}
}

// startWriting starts a writer where there is something to write, and none.
func (o *outbox) startWriting() {
	if !o.writing() && o.unsent() {
		o.held().writing = true
		go o.write()
	}
}

func (o *outbox) unsent() bool {
	return o.failed() == nil && (o.backlog != nil && len(o.backlog.pending) > 0 || o.encrypted())
}

// encrypted reports whether TLS has something that the socket did not take.
func (o *outbox) encrypted() bool { return o.s.sealed != nil && o.s.sealed.Unsent() }

// write writes until nothing is unsent. What panics here would end the process: it
// is the session's, which ends of it alone.
func (o *outbox) write() {
	defer func() {
		if recover() != nil { // what it says may hold what the client is sent
			o.s.srv.log.Error("writing panicked", slog.String("stack", string(debug.Stack())))
			o.fail(errPanicked)
		}
	}()
	var chunks []byte
	for {
		b := o.next(&chunks)
		if b == nil {
			return
		}
		o.writeAll(b, chunks)
	}
}

// next takes what is unsent, and hands back the room of what was sent. It is nil
// where there is nothing, and the writer is over.
func (o *outbox) next(chunks *[]byte) *backlog {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.backlog
	if !o.unsent() {
		b.writing = false
		b.relieve()
		if b.err == nil {
			o.backlog = nil // an idle session keeps none
		}
		return nil
	}
	*chunks, b.pending = b.pending, (*chunks)[:0]
	b.inFlight += len(*chunks)
	return b
}

// writeAll writes chunks, also when there are none: what is encrypted already
// goes out before.
func (o *outbox) writeAll(b *backlog, chunks []byte) {
	for more := true; more; more = len(chunks) > 0 {
		n, err := o.s.nc.Write(chunks[:min(len(chunks), writeChunk)])
		o.sent(n)
		chunks = chunks[n:]
		if err != nil {
			o.fail(err)
			return
		}
		o.mu.Lock()
		b.inFlight = len(chunks)
		b.relieve()
		o.mu.Unlock()
	}
}

// fail ends all writing for err, and has the session look at it.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	b := o.backlog
	b.err = err
	b.inFlight, b.pending = 0, nil
	b.relieve()
	o.mu.Unlock()
	o.s.wake()
}

// relieve wakes who waits for unsent bytes to go. Called with mu held.
func (b *backlog) relieve() {
	if b.relief != nil && (b.err != nil || len(b.pending)+b.inFlight <= b.reliefAt) {
		close(b.relief)
		b.relief = nil
	}
}

// full reports whether the limit is reached; then reading stops until the
// returned channel is closed, when half has gone.
func (o *outbox) full() (relief <-chan struct{}, full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed() != nil || o.size() < o.limit() {
		return nil, false
	}
	return o.backlog.await(o.limit() / 2), true
}

// left reports whether anything is unsent; the returned channel is closed when all
// of it has gone, or writing failed.
func (o *outbox) left() (gone <-chan struct{}, left bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed() != nil || !o.writing() {
		return nil, false
	}
	return o.backlog.await(0), true
}

// await is called with mu held, by the one goroutine that serves the session.
func (b *backlog) await(unsent int) <-chan struct{} {
	if b.relief == nil {
		b.relief = make(chan struct{})
	}
	b.reliefAt = unsent
	return b.relief
}

// failure returns why writing failed, nil while it has not. A panic of the writer
// goes on here, on the goroutine that serves the session.
func (o *outbox) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.failed()
	if err == errPanicked {
		panic("session: writing panicked") // ends this connection alone
	}
	return err
}

var errPanicked = errors.New("writing panicked")

// limit is how many bytes may be unsent before no more is read or pushed.
func (o *outbox) limit() int { return o.s.machine.rules.MaxOutbound }

func (o *outbox) sent(n int) { o.s.srv.metrics.bytesSent.Add(int64(n)) }
