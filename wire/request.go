package wire

import "bytes"

// Kind says what a line from a client is.
type Kind uint8

// The kinds of lines.
const (
	Message       Kind = iota // anything that is not a command
	Ping                      // "ping", alone on its line
	Auth                      // AUTH and a token whose bytes are those of a compact JWS
	MalformedAuth             // looks like AUTH and is none; never a message
)

// AuthPrefix begins a well-formed AUTH line, and with it the lines that may be
// as long as the limit for AUTH lines allows.
const AuthPrefix = "AUTH "

// Space is what is trimmed around a command and an echoed text.
const Space = "\t\n\v\f\r "

// Request tells what line is; token is set for Auth and points into line. The
// line comes without its LF and the one CR before it.
//
// A line that is AUTH, or begins with AUTH and a space or tab, is never a
// message: a mistyped token must reach neither backend nor log.
func Request(line []byte) (kind Kind, token []byte) {
	switch {
	case len(line) >= 4 && string(line[:4]) == "AUTH":
		if len(line) > 4 && line[4] != ' ' && line[4] != '\t' {
			return Message, nil
		}
		token, found := bytes.CutPrefix(line, []byte(AuthPrefix))
		if !found || !isTokenText(token) {
			return MalformedAuth, nil
		}
		return Auth, token
	case string(Trim(line)) == "ping":
		return Ping, nil
	}
	return Message, nil
}

// AuthFault says what is wrong with a MalformedAuth line, in words of its own.
func AuthFault(line []byte) string {
	token, _ := bytes.CutPrefix(line, []byte(AuthPrefix))
	switch {
	case len(Trim(line)) == len("AUTH"):
		return "AUTH without a token"
	case len(token) == len(line) || isSpace(token[0]):
		return "want one space between AUTH and the token"
	case bytes.ContainsAny(token, Space):
		return "white space in or behind the token"
	}
	return "a byte in the token that no compact JWS has"
}

// Trim removes white space at both ends of text.
func Trim(text []byte) []byte {
	for len(text) > 0 && isSpace(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && isSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}

// isSpace reports whether c is HT, LF, VT, FF, CR or SP.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// isTokenText reports whether every byte of a non-empty token is one of
// base64url (RFC 4648 section 5, no padding) or a dot, as in a compact JWS
// (RFC 7515 section 3.1). How many parts there are is the verifier's concern.
func isTokenText(token []byte) bool {
	for _, c := range token {
		if !tokenByte[c] {
			return false
		}
	}
	return len(token) > 0
}

var tokenByte = func() (set [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_." {
		set[c] = true
	}
	return set
}()
