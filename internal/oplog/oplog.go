// Package oplog makes the gateway's logger: one record per event, bounded in
// size, and bounded in number where something fails again and again.
package oplog

import (
	"fmt"
	"io"
	"log/slog"
	"unicode/utf8"
)

// mark stands where a text was cut.
const mark = "…"

// The length in bytes that no text in a record exceeds, and no attribute stack.
const (
	maxText  = 1 << 10
	maxStack = 8 << 10
)

// New returns a logger that writes records of level and above to w, one a
// line, in the format json or text.
//
// Warnings and errors of one kind are written at most once a second. A kind is
// a message together with the values of outcome, result, reason, issuer,
// listener and key (of the configuration), so messages are constants and those
// attributes come from a closed set or the configuration. The latest of those held
// back is written when its second is over, with the number of the others as
// suppressed; so none is held for longer than a second, and only the end of the
// process loses any.
//
// Records of LevelAudit are always written, each of them.
//
// Texts, errors among them, are cut at 1 KiB, and a stack at 8 KiB. What a client
// chose goes through Foreign first. Durations are written as the configuration
// writes them: 1.5s.
func New(w io.Writer, level *slog.LevelVar, format string) (*slog.Logger, error) {
	return newLogger(w, level, format, func(h slog.Handler) slog.Handler { return h })
}

// newLogger puts around the handler that writes what the caller wants, and the
// limit around that.
func newLogger(w io.Writer, level *slog.LevelVar, format string, around func(slog.Handler) slog.Handler) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: bound}
	switch format {
	case "json":
		return slog.New(limit(around(slog.NewJSONHandler(w, options)))), nil
	case "text":
		return slog.New(limit(around(slog.NewTextHandler(w, options)))), nil
	}
	return nil, fmt.Errorf("oplog: no format %q", format)
}

// LevelAudit is the level of what an operator did. It is above every level that
// can be configured, so that nothing hides it, and is written AUDIT.
const LevelAudit slog.Level = 12

// bound cuts what is or becomes a text, and makes a duration one. It sees message
// and attributes alike.
func bound(_ []string, a slog.Attr) slog.Attr {
	limit := maxText
	if a.Key == "stack" {
		limit = maxStack
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if text := a.Value.String(); len(text) > limit {
			a.Value = slog.StringValue(cut(text, limit))
		}
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case slog.Level: // which the handlers would marshal as any value
			a.Value = slog.StringValue(v.String())
			if v == LevelAudit {
				a.Value = slog.StringValue("AUDIT")
			}
		case error:
			a.Value = slog.StringValue(cut(v.Error(), limit))
		}
	}
	return a
}

// cut shortens s to at most limit bytes, the mark that says so included, and
// parts no character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}
