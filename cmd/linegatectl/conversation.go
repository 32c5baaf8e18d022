package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

// conversation carries lines between standard input and the gateway, over as
// many connections as it takes, and shows what is said.
type conversation struct {
	console *console
	in      *input
	stay    bool
	giveUp  context.CancelCauseFunc // ends run, with the reason
	plain   bool                    // no TLS
	cert    certFlags
	renewed string // which token is next when the gateway wants another

	mu      sync.Mutex // serializes output, and guards:
	talked  bool       // there was a session
	waiting error      // why there is no session now
}

// run talks until standard input ends, ctx does, or it makes no sense to go on.
func (t *conversation) run(ctx context.Context, cfg client.Config) error {
	if ctx.Err() != nil {
		return nil
	}
	// The first token is wanted before anything is tried: with wrong flags
	// there is nothing to wait for. A source that keeps it is not asked twice.
	if _, err := cfg.Tokens.Token(ctx, false); err != nil {
		return t.over(ctx, fmt.Errorf("no token: %w", err))
	}
	cfg.Hooks = client.Hooks{Sent: t.sent, Received: t.received, Waiting: t.wait}
	go t.watchInput(ctx)
	return t.over(ctx, client.Run(ctx, cfg, t.session))
}

// over turns the end of run into the command's: interrupted is no failure.
func (t *conversation) over(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case err == nil, errors.Is(cause, context.Canceled):
		return nil
	case cause != nil:
		return failed(cause)
	}
	return failed(err)
}

// session is one connection.
func (t *conversation) session(ctx context.Context, conn *client.Conn) error {
	t.mu.Lock()
	t.talked, t.waiting = true, nil
	t.mu.Unlock()

	ended := make(chan error, 1)
	go func() {
		for { // what comes is shown by the hook
			if _, err := conn.Receive(ctx); err != nil {
				ended <- err
				return
			}
		}
	}()
	lines := t.in.lines
	for {
		select {
		case err := <-ended:
			return err
		case line, ok := <-lines:
			switch {
			case ok:
				if err := t.send(ctx, conn, line); err != nil {
					return <-ended
				}
			case t.in.err != nil:
				return fmt.Errorf("standard input: %w", t.in.err)
			case t.stay:
				lines = nil
			default:
				if err := conn.Ping(ctx); err != nil {
					return <-ended
				}
				return nil
			}
		}
	}
}

// send sends a typed line. It fails only with the session.
func (t *conversation) send(ctx context.Context, conn *client.Conn, line string) error {
	err := conn.Send(ctx, []byte(line))
	switch {
	case errors.Is(err, client.ErrLine):
		t.tell("not sent: %s", strings.TrimPrefix(err.Error(), client.ErrLine.Error()+": "))
		return nil
	case err != nil:
		t.tell("the connection was lost while a line was sent; it may or may not have been delivered")
	}
	return err
}

// watchInput gives up when standard input ends while there is no session.
func (t *conversation) watchInput(ctx context.Context) {
	select {
	case <-t.in.ended:
	case <-ctx.Done():
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting != nil && !t.stay {
		t.giveUp(t.waiting)
	}
}

// wait is told of each pause. With nothing more to come from standard input, a
// script rather hears at once that it failed.
func (t *conversation) wait(w client.Wait) {
	reason := cmp.Or(t.cert.wanted("the gateway", w.Err), plain(w.Err))
	if !w.Renewal && t.hintsAtTLS(w.Err) {
		reason += " (if this is a TLS port, use --tls or --ca-file)"
	}
	if !w.Renewal && w.For > 0 {
		t.mu.Lock()
		t.waiting = errors.New(reason)
		final := t.inputEnded() && !t.stay
		t.mu.Unlock()
		if final {
			t.giveUp(t.waiting)
			return
		}
	}
	t.tell("%s; %s", reason, t.plan(w))
}

func (t *conversation) inputEnded() bool {
	select {
	case <-t.in.ended:
		return true
	default:
		return false
	}
}

// hintsAtTLS reports whether err is what plain TCP gets to see of a TLS port.
func (t *conversation) hintsAtTLS(err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.plain && !t.talked && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
}

// plan says what happens next, and when.
func (t *conversation) plan(w client.Wait) string {
	what := "connecting again"
	if w.Renewal {
		what = "renewing the token again"
	}
	if w.Action == wire.Reauth {
		what += " with " + t.renewed
	}
	when := "at once"
	if w.For > 0 {
		when = "in " + w.For.Round(100*time.Millisecond).String()
	}
	return fmt.Sprintf("%s %s (action %s)", what, when, w.Action)
}

func (t *conversation) sent(line []byte)     { t.show("> ", line) }
func (t *conversation) received(line []byte) { t.show("< ", line) }

func (t *conversation) show(who string, line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.console.stdout, who+visible(line))
}

func (t *conversation) tell(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.console.stderr, "linegatectl: "+format+"\n", args...)
}

// visible escapes what would not show on a terminal, or steer it.
func visible(line []byte) string {
	var b strings.Builder
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, line[0])
		case r == ' ' || r == '\t' || unicode.IsGraphic(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		line = line[size:]
	}
	return b.String()
}
