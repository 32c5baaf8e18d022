package oplog

import (
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"
)

// maxForeign is the length in bytes of what a client chose, as it is logged.
const maxForeign = 64

// Foreign is a text that a client chose (sub, kid, SNI) as an attribute's
// value: percent-encoded as the protocol's values are, so that a sub reads here
// as in its OK AUTH line, and cut at 64 bytes.
func Foreign(s string) slog.Value {
	if len(s) <= maxForeign && strings.IndexFunc(s, isForeign) < 0 {
		return slog.StringValue(s)
	}
	var escaped strings.Builder
	for i := range min(len(s), maxForeign+1) {
		if c := s[i]; isPlain(c) {
			escaped.WriteByte(c)
		} else {
			fmt.Fprintf(&escaped, "%%%02X", c)
		}
	}
	text := cut(escaped.String(), maxForeign)
	if rest, isCut := strings.CutSuffix(text, mark); isCut {
		if i := strings.LastIndexByte(rest, '%'); i >= 0 && i > len(rest)-len("%00") {
			rest = rest[:i] // no half of an escape
		}
		text = rest + mark
	}
	return slog.StringValue(text)
}

func isForeign(r rune) bool { return r >= utf8.RuneSelf || !isPlain(byte(r)) }

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("._~:@/|+-", c) >= 0
}
