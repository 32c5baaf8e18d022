package oplog

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// NewBackground is New for a logger that writes in the background, a few
// milliseconds later, all that has gathered at once. Warnings, errors and audit
// records are written before the call returns; others are lost when the process is
// killed within a moment. flush, to be called at an orderly end, waits until all are
// written.
//
// Whoever logs waits for w while it takes something. When it takes nothing for a
// second, nobody waits any more: records for which there is no room are left out,
// as are those that w refuses, and a record tells how many when it takes the next.
func NewBackground(w io.Writer, level *slog.LevelVar, format string) (log *slog.Logger, flush func(), err error) {
	out := &output{w: w, hurry: make(chan struct{}, 1)}
	log, err = newLogger(out, level, format, func(next slog.Handler) slog.Handler { return prompt{next, out} })
	out.report = func(lost int) []byte {
		var line bytes.Buffer
		if log, err := New(&line, new(slog.LevelVar), format); err == nil {
			log.Warn("log records left out", slog.Int("count", lost))
		}
		return line.Bytes()
	}
	return log, func() { out.flush() }, err
}

// prompt is a slog.Handler that does not leave faults waiting.
type prompt struct {
	slog.Handler
	out *output
}

func (p prompt) WithAttrs(attrs []slog.Attr) slog.Handler {
	return prompt{p.Handler.WithAttrs(attrs), p.out}
}

func (p prompt) WithGroup(name string) slog.Handler { return prompt{p.Handler.WithGroup(name), p.out} }

func (p prompt) Handle(ctx context.Context, r slog.Record) error {
	err := p.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		p.out.flush()
	}
	return err
}

const (
	// gathering is how long lines gather before they are written at once.
	gathering = 5 * time.Millisecond
	// maxUnwritten is how many bytes wait to be written at most.
	maxUnwritten = 1 << 20
	// chunk is how much is written at once: each is a sign of life.
	chunk = 64 << 10
	// patience is how long the writer may take over a chunk before it counts as
	// stuck.
	patience = time.Second
)

// output is a writer that gathers. Its goroutine, which alone writes, lives while
// there is something to write.
type output struct {
	w      io.Writer
	report func(lost int) []byte
	hurry  chan struct{} // ends the gathering; of size 1
	within bool          // what was written ends inside of a line; owned by the goroutine
	torn   bool          // and that line will not go on

	mu      sync.Mutex
	text    []byte
	spare   []byte        // the room of what was written last
	started bool          // the goroutine lives
	lost    int           // lines left out and not yet reported
	added   int64         // bytes, ever
	gone    int64         // those of them that were written, or refused
	moved   chan struct{} // closed when more has gone
	since   time.Time     // the last chunk, or the goroutine, began
}

// Write takes lines, if there is or comes to be room for them.
func (o *output) Write(lines []byte) (int, error) {
	for !o.add(lines) {
		if !o.flush() {
			o.lose(lines)
			break
		}
	}
	return len(lines), nil
}

func (o *output) add(lines []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.text) > 0 && len(o.text)+len(lines) > maxUnwritten {
		return false
	}
	o.text = append(o.text, lines...)
	o.added += int64(len(lines))
	if !o.started {
		o.started, o.since, o.moved = true, time.Now(), make(chan struct{})
		go o.run()
	}
	return true
}

// flush waits until all that was added has gone, and reports false when the writer
// is stuck.
func (o *output) flush() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for all := o.added; o.gone < all; {
		select {
		case o.hurry <- struct{}{}:
		default: // it has been said
		}
		if !o.await() {
			return false
		}
	}
	return true
}

// await waits until a chunk has gone, and reports false when the writer is stuck.
// Called with mu held, which it lets go meanwhile.
func (o *output) await() bool {
	moved, left := o.moved, patience-time.Since(o.since)
	o.mu.Unlock()
	defer o.mu.Lock()
	select {
	case <-moved:
		return true
	case <-time.After(left):
		return false
	}
}

// run writes what gathers, until nothing does.
func (o *output) run() {
	for {
		select {
		case <-o.hurry:
		case <-time.After(gathering):
		}
		text, lost := o.take()
		if len(text) == 0 {
			return
		}
		if o.write(text) && lost > 0 {
			o.tell(lost)
		}
		o.mu.Lock()
		o.spare = text[:0]
		o.mu.Unlock()
	}
}

// take returns what has gathered and how many lines were left out so far. Where
// nothing has, the goroutine's life is over.
func (o *output) take() (text []byte, lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.text) == 0 {
		o.started, o.text, o.spare = false, nil, nil
		return nil, 0
	}
	text, o.text, o.spare = o.text, o.spare, nil
	return text, o.lost
}

func (o *output) write(text []byte) (ok bool) {
	for len(text) > 0 {
		n, err := o.put(text[:min(len(text), chunk)])
		if err != nil {
			o.lose(text[n:])
			o.went(len(text))
			return false
		}
		o.went(n)
		text = text[n:]
	}
	return true
}

// tell reports lines that were left out.
func (o *output) tell(lost int) {
	if _, err := o.put(o.report(lost)); err != nil {
		return // the next time, with more
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost -= lost
}

// went counts n bytes that nobody has to wait for any more.
func (o *output) went(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone += int64(n)
	close(o.moved)
	o.moved = make(chan struct{})
}

// put writes, and behind a failure that cut a line begins another.
func (o *output) put(text []byte) (n int, err error) {
	o.mu.Lock()
	o.since = time.Now()
	o.mu.Unlock()
	if o.torn {
		if _, err := o.w.Write([]byte("\n")); err != nil {
			return 0, err
		}
		o.within, o.torn = false, false
	}
	n, err = o.w.Write(text)
	if n > 0 {
		o.within = text[n-1] != '\n'
	}
	o.torn = err != nil && o.within
	return n, err
}

func (o *output) lose(lines []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost += bytes.Count(lines, []byte("\n"))
}
