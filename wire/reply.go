package wire

import (
	"errors"
	"strconv"
	"time"
)

// MaxControlLine is the length in bytes, LF included, that no control line of
// the gateway exceeds.
const MaxControlLine = 1024

// DataPrefix begins every line that carries data, and no other.
const DataPrefix = "from server: "

// DataOverhead is what a data line is longer than its text, LF included.
const DataOverhead = len(DataPrefix) + 1

// Subject of an ERR: which kind of request failed.
const (
	ForAuth    = "auth"
	ForMessage = "message"
)

// OK holds the values of an OK AUTH line. Durations are in whole seconds.
type OK struct {
	Subject     string // at most 256 bytes
	Session     string
	ExpiresIn   int64
	ReauthIn    int64
	IdleTimeout int64
	MaxLine     int // bytes
}

// AppendOK appends the answer to an AUTH that succeeded.
func AppendOK(b []byte, ok OK) []byte {
	b = append(b, "OK AUTH v=1 sub="...)
	b = AppendValue(b, ok.Subject)
	b = append(b, " session="...)
	b = AppendValue(b, ok.Session)
	b = appendSeconds(b, " expires_in=", ok.ExpiresIn)
	b = appendSeconds(b, " reauth_in=", ok.ReauthIn)
	b = appendSeconds(b, " idle_timeout=", ok.IdleTimeout)
	b = appendSeconds(b, " max_line=", int64(ok.MaxLine))
	return append(b, '\n')
}

// AppendPong appends the answer to a ping.
func AppendPong(b []byte) []byte { return append(b, "pong\n"...) }

// ErrText is returned for a text that cannot be the content of a data line.
var ErrText = errors.New("wire: text holds LF or CR, or is too long")

// AppendData appends a data line, or refuses a text with LF or CR in it or
// longer than max bytes: a client that splits at either would take what
// follows for a line of its own.
func AppendData(b, text []byte, max int) ([]byte, error) {
	if len(text) > max {
		return b, ErrText
	}
	for _, c := range text {
		if c == '\n' || c == '\r' {
			return b, ErrText
		}
	}
	return AppendEcho(b, text), nil
}

// AppendEcho appends a data line with what the client itself sent as one line.
// A CR in it is the client's own data and goes back untouched.
func AppendEcho(b, text []byte) []byte {
	b = append(b, DataPrefix...)
	b = append(b, text...)
	return append(b, '\n')
}

// AppendNoticeReauth appends the request for a new token, expiresIn seconds
// before the session ends without one.
func AppendNoticeReauth(b []byte, expiresIn int64) []byte {
	return append(appendSeconds(b, "NOTICE reauth expires_in=", expiresIn), '\n')
}

// AppendNoticeDraining appends the announcement that this gateway goes away;
// retryAfter counts in seconds from the close.
func AppendNoticeDraining(b []byte, retryAfter int64) []byte {
	return append(appendSeconds(b, "NOTICE draining retry_after=", retryAfter), '\n')
}

// AppendErr appends the answer to a request that failed in a session that goes
// on. A retryAfter of 0 is left out.
func AppendErr(b []byte, code Code, subject string, retryAfter int64) []byte {
	b = append(b, "ERR "...)
	b = append(b, code.String()...)
	b = append(b, " for="...)
	b = append(b, subject...)
	return append(appendAction(b, code, retryAfter), '\n')
}

// AppendBye appends the last line of a connection. A retryAfter of 0 is left
// out.
func AppendBye(b []byte, code Code, retryAfter int64) []byte {
	b = append(b, "BYE "...)
	b = append(b, code.String()...)
	b = appendAction(b, code, retryAfter)
	b = append(b, " :"...)
	b = append(b, codes[code].text...)
	return append(b, '\n')
}

// Seconds is d as a retry_after, rounded up: nobody is to come back too soon.
func Seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

func appendAction(b []byte, code Code, retryAfter int64) []byte {
	b = append(b, " action="...)
	b = append(b, code.Action().String()...)
	if retryAfter > 0 {
		b = appendSeconds(b, " retry_after=", retryAfter)
	}
	return b
}

func appendSeconds(b []byte, key string, seconds int64) []byte {
	return strconv.AppendInt(append(b, key...), seconds, 10)
}

// AppendValue appends s with each byte outside [A-Za-z0-9._~:@/|+-] percent-
// encoded, so that no value, however hostile, can forge a key or a line.
func AppendValue(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; valueByte[c] {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

var valueByte = func() (set [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:@/|+-" {
		set[c] = true
	}
	return set
}()
