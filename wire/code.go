// Package wire holds the words of the linegate protocol, version 1: what a
// line from a client is, how the gateway's lines are written, and how a client
// reads them. It imports nothing of linegate and does no I/O.
package wire

// Code says why a request failed or a connection ended. It is the one closed
// type of such reasons: the same value makes the BYE or ERR line, the log
// record and the metric label.
type Code uint8

// The codes that the protocol writes, in the order of its document. Those
// marked ERR answer a request in a session that goes on and never end one.
const (
	_                      Code = iota
	InvalidRequest              // the first line is not a well-formed AUTH, or is too long
	InvalidToken                // the token was checked and refused
	InsufficientScope           // the token is valid and lacks a required scope
	TemporarilyUnavailable      // the token could not be checked, or the gateway sheds load
	AuthTimeout                 // no complete AUTH in time
	IdleTimeout                 // no line from the client in the idle time
	TokenExpired                // the session's token expired and was not renewed
	TokenRevoked                // the token, its subject or its session was revoked
	KeyRemoved                  // the issuer no longer publishes the key that signed the token
	IdentityMismatch            // ERR: a re-AUTH named another issuer or subject
	LineTooLong                 // a line in a session exceeded its limit
	RateLimited                 // ERR: re-AUTH more than once a second
	SlowConsumer                // the client takes nothing, or what is pushed does not fit
	TooManySessions             // the limit of connections, or of the subject's sessions
	Replaced                    // a newer session of the same subject took over
	Draining                    // this gateway is going away
	BackendUnavailable          // ERR: the backend could not take the message
	InternalError               // a fault of the gateway

	// What follows ends a connection without a BYE. It is never written to
	// a client, only logged and counted.

	ClientClosed // the client ended its stream
	ClientReset  // the client, or something between, reset the connection
	TLSFailed    // the TLS handshake failed
	ProxyHeader  // the PROXY header was missing, malformed or not allowed
	HealthCheck  // a balancer's own connection (PROXY v2 LOCAL)
	WriteFailed  // writing failed for a reason of the network
	Panic        // the code that served this connection panicked
	Forced       // the gateway was told to end at once

	codeCount
)

// Action says what a client does about a code.
type Action uint8

// The actions. No action means never: even None is tried again after an hour.
const (
	Retry  Action = iota // connect, or send, again after a back-off
	Reauth               // get a new token first
	Fix                  // something is configured wrongly; report it, try hourly
	None                 // stay away
)

var codes = [codeCount]struct {
	word   string
	action Action
	place  place
	text   string // for a person; never to be parsed
}{
	InvalidRequest:         {"invalid_request", Fix, bye | err, "the first line must be AUTH and a token"},
	InvalidToken:           {"invalid_token", Reauth, bye | err, "the token was refused"},
	InsufficientScope:      {"insufficient_scope", Fix, bye | err, "the token lacks a required scope"},
	TemporarilyUnavailable: {"temporarily_unavailable", Retry, bye | err, "not able to check the token now, or too busy"},
	AuthTimeout:            {"auth_timeout", Retry, bye, "no complete AUTH line in time"},
	IdleTimeout:            {"idle_timeout", Retry, bye, "超时断开连接"},
	TokenExpired:           {"token_expired", Reauth, bye, "the token expired"},
	TokenRevoked:           {"token_revoked", Reauth, bye, "the token or session was revoked"},
	KeyRemoved:             {"key_removed", Reauth, bye, "the token's key is no longer published"},
	IdentityMismatch:       {"identity_mismatch", Fix, err, ""},
	LineTooLong:            {"line_too_long", Fix, bye, "a line exceeded its limit"},
	RateLimited:            {"rate_limited", Retry, err, ""},
	SlowConsumer:           {"slow_consumer", Retry, bye, "the client does not take what is sent"},
	TooManySessions:        {"too_many_sessions", Retry, bye, "the limit of connections or sessions is reached"},
	Replaced:               {"replaced", None, bye, "a newer session took over"},
	Draining:               {"draining", Retry, bye, "this gateway is going away"},
	BackendUnavailable:     {"backend_unavailable", Retry, err, ""},
	InternalError:          {"internal_error", Retry, bye | err, "a fault of the gateway"},

	ClientClosed: {"client_closed", Retry, silent, ""},
	ClientReset:  {"client_reset", Retry, silent, ""},
	TLSFailed:    {"tls_failed", Retry, silent, ""},
	ProxyHeader:  {"proxy_header", Retry, silent, ""},
	HealthCheck:  {"health_check", Retry, silent, ""},
	WriteFailed:  {"write_failed", Retry, silent, ""},
	Panic:        {"panic", Retry, silent, ""},
	Forced:       {"forced", Retry, silent, ""},
}

// place says where a code may stand.
type place uint8

const (
	bye    place = 1 << iota // in a BYE
	err                      // in an ERR
	silent                   // ends a connection without a line
)

// String returns the code as lines, logs and metric labels spell it.
func (c Code) String() string {
	if c == 0 || c >= codeCount {
		return "unknown"
	}
	return codes[c].word
}

// Action returns what a client does about c.
func (c Code) Action() Action { return codes[c].action }

// InBye reports whether c can stand in a BYE line.
func (c Code) InBye() bool { return codes[c].place&bye != 0 }

// InErr reports whether c can stand in an ERR line.
func (c Code) InErr() bool { return codes[c].place&err != 0 }

// EndReasons returns every code that can end a connection, in order.
func EndReasons() []Code {
	var ends []Code
	for c := Code(1); c < codeCount; c++ {
		if codes[c].place&(bye|silent) != 0 {
			ends = append(ends, c)
		}
	}
	return ends
}

var actionWords = [...]string{Retry: "retry", Reauth: "reauth", Fix: "fix", None: "none"}

// String returns the action as lines spell it.
func (a Action) String() string { return actionWords[a] }

// ParseAction reads an action. An action this version does not know is Retry,
// as the protocol demands.
func ParseAction(s string) Action {
	for a, word := range actionWords {
		if s == word {
			return Action(a)
		}
	}
	return Retry
}
