package session

import (
	"log/slog"
	"strconv"
)

// foreign is an attribute whose value a stranger chose: bounded and escaped.
func foreign(key, value string) slog.Attr {
	const most = 64 // bytes
	quoted := strconv.QuoteToASCII(value[:min(len(value), most)])
	return slog.String(key, quoted[1:len(quoted)-1])
}
