package session

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// events logs what happens to sessions on a goroutine of its own, which lives
// while there is something to log: formatting a record needs more stack than the
// rest of a session's life.
type events struct {
	log *slog.Logger

	mu      sync.Mutex
	waiting []event
	logging bool
	done    *sync.Cond // more was logged
}

// event is a session that opened, or one that closed.
type event struct {
	at       time.Time // set by add
	session  *Session
	identity *auth.Identity // that it opened with; nil: it closed
	reason   wire.Code
	lasted   time.Duration
}

// gathering is how long events gather: the stack that is needed to log them grows
// once for many.
const gathering = 5 * time.Millisecond

// maxEvents is how many events wait to be logged at most; then sessions wait, which
// a log that is stuck must not make long (see internal/oplog).
const maxEvents = 4096

func newEvents(log *slog.Logger) *events {
	e := &events{log: log}
	e.done = sync.NewCond(&e.mu)
	return e
}

func (e *events) add(ev event) {
	if !e.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	ev.at = time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.waiting) >= maxEvents {
		e.done.Wait()
	}
	e.waiting = append(e.waiting, ev)
	if !e.logging {
		e.logging = true
		go e.run()
	}
}

// flush waits until all that was added is logged.
func (e *events) flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.logging {
		e.done.Wait()
	}
}

func (e *events) run() {
	var batch []event
	time.Sleep(gathering)
	for e.next(&batch) {
		for _, ev := range batch {
			e.write(&ev)
		}
		time.Sleep(gathering)
	}
}

// write logs one event. What panics here would end the process, and of every
// session; so it costs this record alone.
func (e *events) write(ev *event) {
	defer func() {
		if recover() != nil {
			e.log.Error("logging of a session panicked", slog.String("stack", string(debug.Stack())))
		}
	}()
	ev.log(e.log.Handler())
}

// next takes what waits, and hands back the room of the last batch.
func (e *events) next(batch *[]event) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done.Broadcast()
	clear(*batch)
	*batch, e.waiting = e.waiting, (*batch)[:0]
	e.logging = len(*batch) > 0
	if !e.logging {
		e.waiting = nil
	}
	return e.logging
}

// log writes the record with the time at which it happened: what others log of
// the session meanwhile may be written before it.
func (ev *event) log(handler slog.Handler) {
	log := dated{handler, ev.at}
	if id := ev.identity; id != nil {
		log.Info("session opened", ev.session.logID(), ev.session.logRemote(),
			slog.String("issuer", id.IssuerName), foreign("subject", id.Subject),
			foreign("client_id", id.ClientID), foreign("kid", id.KeyID), slog.Time("expires", id.Expires))
		return
	}
	log.Info("session closed", ev.session.logID(), slog.String("reason", ev.reason.String()),
		slog.Duration("duration", ev.lasted))
}

// dated logs with another time than that of the writing. It hands the handler the
// record itself: a Logger would look for the caller, and read the clock.
type dated struct {
	handler slog.Handler
	at      time.Time
}

func (d dated) Info(message string, attrs ...slog.Attr) {
	r := slog.NewRecord(d.at, slog.LevelInfo, message, 0)
	r.AddAttrs(attrs...)
	_ = d.handler.Handle(context.Background(), r) // nobody can be told that a log fails
}
