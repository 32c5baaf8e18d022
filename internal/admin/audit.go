package admin

import (
	"context"
	"log/slog"

	"github.com/linegate/linegate/internal/oplog"
)

// act is what an operator did, to what, and what came of it.
type act struct {
	name   string
	result string
	target []slog.Attr
	more   []slog.Attr
}

// given is an id that a request names. What is too long for one may be a token in
// the wrong place, and is not repeated.
func given(key, id string) slog.Attr {
	if len(id) > maxID {
		id = "not an id"
	}
	return foreign(key, id)
}

const maxID = 32

// audit records an act. The record is written whatever the log's level, and
// however many there are.
func (a *API) audit(r *request, act act) {
	attrs := []slog.Attr{
		slog.String("act", act.name), slog.String("result", act.result),
		{Key: "target", Value: slog.GroupValue(act.target...)},
		slog.String("issuer", r.operator.IssuerName), foreign("subject", r.operator.Subject),
		foreign("client_id", r.operator.ClientID), slog.String("remote", r.RemoteAddr),
	}
	a.Log.LogAttrs(context.Background(), oplog.LevelAudit, "admin act", append(attrs, act.more...)...)
}
