package admin

import (
	"context"
	"log/slog"

	"github.com/linegate/linegate/internal/oplog"
)

// audit records what an operator did, to what, and what came of it. The record
// is written whatever the log's level, and however many there are.
func (a *API) audit(r *request, act, result string, target ...slog.Attr) {
	a.Log.LogAttrs(context.Background(), oplog.LevelAudit, "admin act",
		slog.String("act", act), slog.String("result", result),
		slog.Attr{Key: "target", Value: slog.GroupValue(target...)},
		slog.String("issuer", r.operator.IssuerName), foreign("subject", r.operator.Subject),
		foreign("client_id", r.operator.ClientID), slog.String("remote", r.RemoteAddr))
}
