package oplog

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

// NewBackground is New for a logger that writes on a goroutine of its own, what
// has gathered at once: whoever logs spends neither its time nor its stack on
// that. Warnings, errors and audit records are written before the call returns.
// Others are lost when the process is killed within a moment; flush, to be called
// at an orderly end, waits until all are written.
func NewBackground(w io.Writer, level *slog.LevelVar, format string) (log *slog.Logger, flush func(), err error) {
	out := &output{w: w}
	out.changed = sync.NewCond(&out.mu)
	log, err = newLogger(&out.text, level, format, func(next slog.Handler) slog.Handler {
		return &background{next: next, out: out}
	})
	return log, out.flush, err
}

// background is a slog.Handler that leaves the work to out.
type background struct {
	next slog.Handler
	out  *output
}

func (b *background) Enabled(ctx context.Context, level slog.Level) bool {
	return b.next.Enabled(ctx, level)
}

func (b *background) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &background{next: b.next.WithAttrs(attrs), out: b.out}
}

func (b *background) WithGroup(name string) slog.Handler {
	return &background{next: b.next.WithGroup(name), out: b.out}
}

func (b *background) Handle(_ context.Context, r slog.Record) error {
	b.out.add(entry{b.next, r.Clone()})
	if r.Level >= slog.LevelWarn {
		b.out.flush()
	}
	return nil
}

type entry struct {
	handler slog.Handler
	record  slog.Record
}

// maxEntries is how many records wait to be written at most; then whoever logs
// waits too.
const maxEntries = 4096

// output writes records in the order of their coming. Its goroutine lives while
// there are any.
type output struct {
	// Owned by the writing goroutine.
	w    io.Writer
	text bytes.Buffer

	mu      sync.Mutex
	changed *sync.Cond // entries were written
	entries []entry
	added   uint64 // so far
	written uint64
	writing bool
}

func (o *output) add(e entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.entries) >= maxEntries {
		o.changed.Wait()
	}
	o.entries = append(o.entries, e)
	o.added++
	if !o.writing {
		o.writing = true
		go o.write()
	}
}

// flush waits until everything is written that was added before.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for until := o.added; o.written < until; {
		o.changed.Wait()
	}
}

func (o *output) write() {
	var batch []entry
	for o.next(&batch) {
		for _, e := range batch {
			// Nobody can be told that a log fails.
			_ = e.handler.Handle(context.Background(), e.record)
		}
		_, _ = o.text.WriteTo(o.w)
		o.text.Reset()
	}
}

// next takes what has gathered, and hands the last batch's room back for more;
// false: there is nothing, and the goroutine is over.
func (o *output) next(batch *[]entry) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.written += uint64(len(*batch))
	o.changed.Broadcast()
	clear(*batch)
	*batch, o.entries = o.entries, (*batch)[:0]
	if len(*batch) == 0 {
		o.writing, o.entries = false, nil
		return false
	}
	return true
}
