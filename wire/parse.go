package wire

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Verb says what a line from the gateway is.
type Verb uint8

// The verbs. A client ignores Unknown, and notices and codes it does not know.
const (
	Unknown Verb = iota
	OKAuth       // OK AUTH
	Pong         // pong
	Data         // from server: <text>
	Notice       // NOTICE <word>
	Err          // ERR <code>
	Bye          // BYE <code>
)

// Reply is a line from the gateway as a client reads it.
type Reply struct {
	Verb Verb
	Word string // the notice's name, or the code, as written
	// Text is a data line's content, or what a BYE says to a person. It
	// points into the parsed line.
	Text []byte
	// Fields holds the key=value pairs as written, still encoded.
	Fields string
}

// Parse reads one line from the gateway, without its LF. It never fails: what
// it does not know is Unknown.
func Parse(line []byte) Reply {
	if text, ok := bytes.CutPrefix(line, []byte(DataPrefix)); ok {
		return Reply{Verb: Data, Text: text}
	}
	verb, rest, _ := strings.Cut(string(line), " ")
	switch verb {
	case "pong":
		if len(line) == len("pong") {
			return Reply{Verb: Pong}
		}
	case "OK":
		if word, fields, _ := strings.Cut(rest, " "); word == "AUTH" {
			return Reply{Verb: OKAuth, Word: word, Fields: fields}
		}
	case "NOTICE":
		word, fields, _ := strings.Cut(rest, " ")
		return Reply{Verb: Notice, Word: word, Fields: fields}
	case "ERR":
		word, fields, _ := strings.Cut(rest, " ")
		return Reply{Verb: Err, Word: word, Fields: fields}
	case "BYE":
		word, fields, _ := strings.Cut(rest, " ")
		r := Reply{Verb: Bye, Word: word}
		if strings.HasPrefix(fields, ":") {
			fields = " " + fields
		}
		var text string
		r.Fields, text, _ = strings.Cut(fields, " :")
		r.Text = []byte(text)
		return r
	}
	return Reply{}
}

// Value returns the decoded value of key, and whether the line has it.
func (r Reply) Value(key string) (string, bool) {
	for field := range strings.SplitSeq(r.Fields, " ") {
		if k, v, ok := strings.Cut(field, "="); ok && k == key {
			return decodeValue(v), true
		}
	}
	return "", false
}

// Action returns what the client should do; a missing or unknown action is
// Retry.
func (r Reply) Action() Action {
	word, _ := r.Value("action")
	return ParseAction(word)
}

// Seconds returns the value of key as a duration of whole seconds: 0 when it
// is missing or no such number, and a century for all that is longer.
func (r Reply) Seconds(key string) time.Duration {
	word, _ := r.Value(key)
	n, err := strconv.ParseUint(word, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n > uint64(maxWait/time.Second):
		return maxWait
	case err != nil:
		return 0
	}
	return time.Duration(n) * time.Second
}

const maxWait = 100 * 365 * 24 * time.Hour

// decodeValue undoes AppendValue; a % that begins no escape stays as it is.
func decodeValue(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
