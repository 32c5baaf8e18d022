package session

import (
	"sync"
	"syscall"
)

// outbox is the way of every line to the client. Replies and pushed lines come
// in whole, so none stands inside another; what the socket does not take at
// once is written by a goroutine that lives only as long as it has something
// to write. A connection that is silent, or whose client keeps up, has none.
type outbox struct {
	s *Session // whose it is

	mu       sync.Mutex
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
// reading on. fd is the socket, where the caller has it at hand; else noFD.
func (o *outbox) add(lines []byte, fd int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(lines, fd)
}

// push takes one line if it fits below the limit.
func (o *outbox) push(line []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending)+o.inFlight+len(line) > o.limit() {
		return false
	}
	o.put(line, noFD)
	return true
}

func (o *outbox) put(lines []byte, fd int) {
	if o.err != nil || len(lines) == 0 {
		return
	}
	if !o.writing && o.s.raw != nil {
		n := writeNow(o.s.raw, fd, lines)
		o.sent(n)
		lines = lines[n:]
		if len(lines) == 0 {
			return
		}
	}
	o.pending = append(o.pending, lines...)
	if !o.writing {
		o.writing = true
		go o.write()
	}
}

// write writes until nothing is pending.
func (o *outbox) write() {
	var chunks []byte
	for {
		o.mu.Lock()
		if len(o.pending) == 0 || o.err != nil {
			o.writing = false
			o.pending = nil // an idle session keeps no buffer
			o.relieve()
			o.mu.Unlock()
			return
		}
		chunks, o.pending = o.pending, chunks[:0]
		o.inFlight = len(chunks)
		o.mu.Unlock()
		o.writeAll(chunks)
	}
}

func (o *outbox) writeAll(chunks []byte) {
	for len(chunks) > 0 {
		n, err := o.s.nc.Write(chunks[:min(len(chunks), writeChunk)])
		o.sent(n)
		chunks = chunks[n:]
		o.mu.Lock()
		o.inFlight = len(chunks)
		if err != nil {
			o.err = err
			o.inFlight, o.pending = 0, nil
		}
		o.relieve()
		o.mu.Unlock()
		if err != nil {
			o.s.wake()
			return
		}
	}
}

// relieve wakes who waits for unsent bytes to go. Called with mu held.
func (o *outbox) relieve() {
	if o.relief != nil && (o.err != nil || len(o.pending)+o.inFlight <= o.reliefAt) {
		close(o.relief)
		o.relief = nil
	}
}

// full reports whether the limit is reached; then reading stops until the
// returned channel is closed, when half has gone.
func (o *outbox) full() (relief <-chan struct{}, full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || len(o.pending)+o.inFlight < o.limit() {
		return nil, false
	}
	return o.await(o.limit() / 2), true
}

// empty returns a channel that is closed when everything is written, or
// writing failed.
func (o *outbox) empty() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || !o.writing {
		done := make(chan struct{})
		close(done)
		return done
	}
	return o.await(0)
}

// await is called with mu held, by the one goroutine that serves the session.
func (o *outbox) await(unsent int) <-chan struct{} {
	if o.relief == nil {
		o.relief = make(chan struct{})
	}
	o.reliefAt = unsent
	return o.relief
}

// failure returns why writing failed, nil while it has not.
func (o *outbox) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// limit is how many bytes may be unsent before no more is read or pushed.
func (o *outbox) limit() int { return o.s.rules.MaxOutbound }

func (o *outbox) sent(n int) { o.s.srv.metrics.bytesSent.Add(int64(n)) }

// noFD says that the caller has no descriptor at hand.
const noFD = -1

// writeNow writes what the socket takes at once, without waiting. An error is
// left for the next blocking write to meet.
func writeNow(raw syscall.RawConn, fd int, b []byte) int {
	if fd != noFD {
		n, _ := syscall.Write(fd, b)
		return max(n, 0)
	}
	w := socketWriters.Get().(*socketWriter)
	defer socketWriters.Put(w)
	w.b, w.n = b, 0
	_ = raw.Write(w.callback)
	w.b = nil
	return max(w.n, 0)
}

type socketWriter struct {
	callback func(fd uintptr) bool // write, made once
	b        []byte
	n        int
}

var socketWriters = sync.Pool{New: func() any {
	w := new(socketWriter)
	w.callback = w.write
	return w
}}

// write says done whatever happened: a full socket is no reason to wait.
func (w *socketWriter) write(fd uintptr) bool {
	w.n, _ = syscall.Write(int(fd), w.b)
	return true
}
