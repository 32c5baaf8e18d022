package oplog

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// NewBackground is New for a logger that writes in the background, a few
// milliseconds later, all that has gathered at once. Warnings, errors and audit records are written
// before the call returns; others are lost when the process is killed within a
// moment. flush, to be called at an orderly end, waits until all are written.
func NewBackground(w io.Writer, level *slog.LevelVar, format string) (log *slog.Logger, flush func(), err error) {
	out := &output{w: w}
	log, err = newLogger(out, level, format, func(next slog.Handler) slog.Handler { return prompt{next, out} })
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
	// maxUnwritten is how many bytes wait to be written at most; then whoever
	// logs writes.
	maxUnwritten = 1 << 20
)

// output is a writer that gathers. Its goroutine lives while there is something
// to write.
type output struct {
	writing sync.Mutex // held to take text and write it, so that lines keep their order
	w       io.Writer

	mu      sync.Mutex
	text    []byte
	spare   []byte // the room of what was written last
	started bool   // the goroutine lives
}

func (o *output) Write(line []byte) (int, error) {
	if o.add(line) {
		o.flush()
	}
	return len(line), nil
}

func (o *output) add(line []byte) (full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, line...)
	if !o.started {
		o.started = true
		go o.run()
	}
	return len(o.text) >= maxUnwritten
}

// run writes what gathers, until nothing does.
func (o *output) run() {
	for {
		time.Sleep(gathering)
		if !o.flush() && o.stop() {
			return
		}
	}
}

// flush writes what has gathered, if anything.
func (o *output) flush() (any bool) {
	o.writing.Lock()
	defer o.writing.Unlock()
	text := o.take()
	if len(text) == 0 {
		return false
	}
	_, _ = o.w.Write(text) // nobody can be told that a log fails
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spare = text[:0]
	return true
}

func (o *output) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.text
	o.text, o.spare = o.spare, nil
	return text
}

// stop ends the goroutine if nothing came meanwhile.
func (o *output) stop() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.text) > 0 {
		return false
	}
	o.started, o.text, o.spare = false, nil, nil
	return true
}
