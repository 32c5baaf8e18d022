package session

import (
	"errors"
	"log/slog"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/oplog"
	"github.com/linegate/linegate/wire"
)

// host: what the machine asks for.

func (s *Session) id() string { return s.sessionID }

func (s *Session) jitter(n int64) int64 { return s.srv.jitter(n) }

func (s *Session) message(text []byte, r *Reply) error {
	err := s.srv.backend.Message(s, text, r)
	if err != nil {
		s.srv.log.Warn("backend did not take a message", s.logID(), slog.Any("error", err))
	}
	return err
}

// admit is called with mu held. A session that gives way is told before this one
// has its OK. It was known before this one, so of sessions that end each other
// none waits for itself.
func (s *Session) admit(identity *auth.Identity) bool {
	s.machine.identity.Store(identity)
	replaced, ok := s.srv.sessions.add(s)
	for _, old := range replaced {
		old.End(wire.Replaced, 0)
	}
	return ok
}

func (s *Session) attempted(kind attemptKind, identity *auth.Identity, err error, took time.Duration) {
	s.srv.metrics.attempt(kind, identity, err, took)
	if err == nil {
		if kind == renewal {
			s.srv.log.Info("session renewed", s.logID(), foreign("kid", identity.KeyID),
				slog.Time("expires", identity.Expires))
		}
		return
	}
	attrs := []any{slog.String("outcome", outcome(err).String()), s.logRemote()}
	if kind == renewal {
		attrs = append(attrs, s.logID())
	}
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		attrs = append(attrs, slog.String("issuer", refused.IssuerName), foreign("kid", refused.KeyID),
			slog.String("claim", refused.Claim))
		for key, value := range refused.Names() {
			attrs = append(attrs, foreign(key, value))
		}
		err = refused.Err
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	s.srv.log.Warn(attemptRefused[kind], attrs...)
}

var attemptRefused = [...]string{login: "login refused", renewal: "renewal refused"}

func (s *Session) logID() slog.Attr { return slog.String("session", s.sessionID) }

// foreign is an attribute whose value a stranger chose.
func foreign(key, value string) slog.Attr {
	return slog.Attr{Key: key, Value: oplog.Foreign(value)}
}

func (s *Session) logRemote() slog.Attr {
	return slog.String("remote", s.Remote())
}
