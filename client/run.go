package client

import (
	"context"
	"errors"
	"time"

	"github.com/linegate/linegate/wire"
)

// Run keeps a session open: it calls session with each new Conn, and when that
// one's session is over it connects again as the protocol's actions say, for
// as long as ctx lives. It returns ctx's error then.
//
// session is called once for each connection, by the goroutine that called
// Run. When a method of the Conn tells it that the session is over it returns
// that *End, and Run goes on. When it returns nil or any other error, Run
// closes the Conn and returns the same. A Config that can never work is an
// ErrConfig at once.
//
// The pauses: retry, and any failure that the gateway said nothing about,
// backs off with full jitter from 1 s, doubling to 5 min, and starts from 1 s
// again after a session of a minute. reauth connects at once with a fresh
// token; if that repeats it backs off like retry. fix and none wait for an
// hour and up to 5 min more. A retry_after is always waited for (up to a day
// of it), and up to 1 s more.
func Run(ctx context.Context, cfg Config, session func(context.Context, *Conn) error) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	r := runner{cfg: cfg, session: session, pace: pace{rand: cfg.Rand}}
	for {
		done, err := r.once(ctx)
		if done {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		end := asEnd(err)
		r.fresh = r.fresh || end.Action == wire.Reauth
		wait := r.pace.after(end.Action, end.RetryAfter)
		cfg.Hooks.Waiting(Wait{Err: err, Action: end.Action, For: wait})
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

type runner struct {
	cfg     Config
	session func(context.Context, *Conn) error
	pace    pace
	fresh   bool // the last token will not do
}

// once goes through one connection. When it is not done, err says what failed
// or how the session ended.
func (r *runner) once(ctx context.Context) (done bool, err error) {
	token, err := r.cfg.token(ctx, r.fresh)
	if err != nil {
		return false, err
	}
	r.fresh = false
	conn, err := r.cfg.open(ctx, token)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	began := time.Now()
	err = r.session(ctx, conn)
	if _, ended := errors.AsType[*End](err); !ended {
		return true, err
	}
	end, ended := errors.AsType[*End](conn.lastWord())
	if !ended { // the End is not this Conn's
		return true, err
	}
	if time.Since(began) >= settled {
		r.pace.forget()
	}
	return false, end
}
