package oplog

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// window is the time in which one failure of a kind is written.
const window = time.Second

// limit puts the limit on repeated failures in front of next.
func limit(next slog.Handler) slog.Handler {
	return &limiter{next: next, held: &held{kinds: map[kind]*repeats{}}}
}

// limiter is a slog.Handler. Those made of it by With share what is held.
type limiter struct {
	next slog.Handler
	held *held
	kind kind // without a message: what With has given
	deep bool // inside a group, where an attribute's name is another's
}

// kind tells failures apart.
type kind struct {
	message                                        string
	outcome, result, reason, issuer, listener, key string
}

func (k *kind) add(a slog.Attr) {
	var field *string
	switch a.Key {
	case "outcome":
		field = &k.outcome
	case "result":
		field = &k.result
	case "reason":
		field = &k.reason
	case "issuer":
		field = &k.issuer
	case "listener":
		field = &k.listener
	case "key":
		field = &k.key
	default:
		return
	}
	*field = a.Value.Resolve().String()
}

// held has the kinds that were written within the last window.
type held struct {
	mu    sync.Mutex
	kinds map[kind]*repeats
}

// repeats is what came of one kind since it was last written.
type repeats struct {
	count  int // held back
	latest slog.Record
	next   slog.Handler // the latest's
}

func (l *limiter) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

func (l *limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	with.next = l.next.WithAttrs(attrs)
	if !l.deep {
		for _, a := range attrs {
			with.kind.add(a)
		}
	}
	return &with
}

func (l *limiter) WithGroup(name string) slog.Handler {
	with := *l
	with.next = l.next.WithGroup(name)
	with.deep = l.deep || name != ""
	return &with
}

func (l *limiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn || r.Level == LevelAudit {
		return l.next.Handle(ctx, r)
	}
	k := l.kind
	k.message = r.Message
	if !l.deep {
		r.Attrs(func(a slog.Attr) bool {
			k.add(a)
			return true
		})
	}
	if l.held.hold(k, r, l.next) {
		return nil
	}
	return l.next.Handle(ctx, r)
}

// hold keeps a record whose kind was written a moment ago. Of any other it
// takes note, and returns false.
func (h *held) hold(k kind, r slog.Record, next slog.Handler) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known, ok := h.kinds[k]; ok {
		known.count++
		known.latest, known.next = r.Clone(), next
		return true
	}
	h.kinds[k] = &repeats{}
	time.AfterFunc(window, func() { h.release(k) })
	return false
}

// release writes the latest record that was held back, and so begins another
// window; a kind of which nothing came is forgotten.
func (h *held) release(k kind) {
	h.mu.Lock()
	known := h.kinds[k]
	last := *known
	if last.count == 0 {
		delete(h.kinds, k)
		h.mu.Unlock()
		return
	}
	*known = repeats{}
	time.AfterFunc(window, func() { h.release(k) })
	h.mu.Unlock()
	if last.count > 1 {
		last.latest.AddAttrs(slog.Int("suppressed", last.count-1))
	}
	// A writer that fails fails for those that log, too, and they see it.
	_ = last.next.Handle(context.Background(), last.latest)
}
