package auth

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is a JSON object read strictly: each member's name, exact in case and
// present once, with its value as it was written. It is a list, since most have
// few members: to make a map of these takes longer than to look at them all.
//
// encoding/json alone will not do: into a struct it takes "EXP" for "exp" and
// the last of two, into a map it takes the last of two, and both turn bad
// UTF-8 into U+FFFD, so that two different subjects could become one.
type object []member

type member struct{ name, value string }

// few is how many members are looked through for one that appears twice.
const few = 32

// get returns a member's value as it was written.
func (o object) get(name string) (value string, found bool) {
	for _, m := range o {
		if m.name == name {
			return m.value, true
		}
	}
	return "", false
}

func (o object) has(name string) bool {
	_, found := o.get(name)
	return found
}

var (
	errNotJSON   = errors.New("not valid JSON in UTF-8")
	errNotObject = errors.New("not a JSON object")
	errTwice     = errors.New("a member appears twice")
	errSurrogate = errors.New("half a surrogate pair in a string")
	errNotString = errors.New("not a string")
	errNotList   = errors.New("neither a string nor an array of strings")
	errNotDate   = errors.New("not a NumericDate from 0 to 2^53")
)

// parseObject reads a document that must be one JSON object.
func parseObject(doc []byte) (object, error) {
	if !utf8.Valid(doc) || !json.Valid(doc) {
		return nil, errNotJSON
	}
	s := string(doc)
	i := skipSpace(s, 0)
	if s[i] != '{' {
		return nil, errNotObject
	}
	members := make(object, 0, 12)
	var seen map[string]bool // when they are no longer few
	// The document is known to be valid, so no index can leave it.
	for i = skipSpace(s, i+1); s[i] != '}'; {
		end := stringEnd(s, i)
		name, err := unquote(s[i:end])
		if err != nil {
			return nil, err
		}
		i = skipSpace(s, skipSpace(s, end)+1) // over the colon
		end = valueEnd(s, i)
		if len(members) == few {
			seen = members.names()
		}
		if seen[name] || seen == nil && members.has(name) {
			return nil, errTwice
		}
		if seen != nil {
			seen[name] = true
		}
		members = append(members, member{name, s[i:end]})
		if i = skipSpace(s, end); s[i] == ',' {
			i = skipSpace(s, i+1)
		}
	}
	return members, nil
}

func (o object) names() map[string]bool {
	names := make(map[string]bool, 2*len(o))
	for _, m := range o {
		names[m.name] = true
	}
	return names
}

// text returns a member that must be a string; found is false when there is
// none.
func (o object) text(name string) (value string, found bool, err error) {
	raw, found := o.get(name)
	if !found {
		return "", false, nil
	}
	value, err = unquote(raw)
	return value, true, err
}

// list returns a member that is a string or an array of strings, as aud is
// (RFC 7519 section 4.1.3); single tells which.
func (o object) list(name string) (values []string, single bool, err error) {
	raw, found := o.get(name)
	if !found {
		return nil, false, nil
	}
	if raw[0] == '"' {
		value, err := unquote(raw)
		return []string{value}, true, err
	}
	if raw[0] != '[' {
		return nil, false, errNotList
	}
	for i := skipSpace(raw, 1); raw[i] != ']'; {
		if raw[i] != '"' {
			return nil, false, errNotList
		}
		end := stringEnd(raw, i)
		value, err := unquote(raw[i:end])
		if err != nil {
			return nil, false, err
		}
		values = append(values, value)
		if i = skipSpace(raw, end); raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return values, false, nil
}

// date returns a member that must be a NumericDate (RFC 7519 section 2), in
// whole seconds, fractions rounded down.
func (o object) date(name string) (seconds int64, found bool, err error) {
	raw, found := o.get(name)
	if !found {
		return 0, false, nil
	}
	if c := raw[0]; c != '-' && (c < '0' || c > '9') {
		return 0, true, errNotDate
	}
	whole := raw
	if !strings.ContainsAny(raw, "eE") {
		// Exact: a float64 would round 1.99999999999999999 up.
		whole, _, _ = strings.Cut(raw, ".")
	}
	if n, err := strconv.ParseUint(whole, 10, 64); err == nil {
		if n > maxDate {
			return 0, true, errNotDate
		}
		return int64(n), true, nil
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil || f < 0 || f > maxDate {
		return 0, true, errNotDate
	}
	return int64(math.Floor(f)), true, nil
}

// maxDate is the largest NumericDate believed: up to there a JSON number is
// exact everywhere.
const maxDate = 1 << 53

// unquote returns the content of a JSON string that is part of a valid
// document, or an error when raw is another value.
func unquote(raw string) (string, error) {
	if raw[0] != '"' {
		return "", errNotString
	}
	inner := raw[1 : len(raw)-1]
	if strings.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	if halfSurrogate(inner) {
		return "", errSurrogate
	}
	var value string
	if err := json.Unmarshal([]byte(raw), &value); err != nil {
		return "", errNotString
	}
	return value, nil
}

// halfSurrogate reports whether a string holds an escaped surrogate without
// its other half: encoding/json would make U+FFFD of any of them.
func halfSurrogate(s string) bool {
	low := -1 // where the low half must begin
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if s[i+1] != 'u' {
			i++
			continue
		}
		n, _ := strconv.ParseUint(s[i+2:i+6], 16, 16)
		switch {
		case n >= 0xDC00 && n <= 0xDFFF:
			if i != low {
				return true
			}
			low = -1
		case low >= 0:
			return true
		case n >= 0xD800 && n <= 0xDBFF:
			low = i + 6
		}
		i += 5
	}
	return low >= 0
}

// skipSpace returns the index of the first byte at or after i that is no JSON
// white space.
func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the index behind the string that begins at i.
func stringEnd(s string, i int) int {
	for i++; s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd returns the index behind the value that begins at i.
func valueEnd(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '"':
			i = stringEnd(s, i) - 1
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 {
				return i // it ends what holds the value
			}
			depth--
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return i
}
