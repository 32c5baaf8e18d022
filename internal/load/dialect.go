package load

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/linegate/linegate/wire"
)

// Protocol is a language that the generator speaks.
type Protocol string

// The protocols.
const (
	Linegate Protocol = "linegate" // AUTH, then lines
	Lines    Protocol = "lines"    // the same lines without AUTH; a first ping stands for the login
	Redis    Protocol = "redis"    // AUTH, PING as a line (an inline command), ECHO
	RESP     Protocol = "resp"     // the same, PING as Redis's own clients write it
	NATS     Protocol = "nats"     // CONNECT, PING; there is no echo
)

// dialect is how one protocol says what every mode needs: to open a session, a
// request whose reply is known byte for byte, and what any other line means.
type dialect struct {
	open      func(b []byte, token string) []byte
	ping      string
	pong      string
	echo      func(b, text []byte) []byte // nil: the protocol has none
	echoed    func(b, text []byte) []byte
	opened    func(line []byte) meaning // of a line while the session is not open
	otherwise func(line []byte) meaning // of a line in the session that is not the reply due
	needs     bool                      // a token
}

// meaning is what a line says.
type meaning struct {
	kind    meaningKind
	failure failure       // where it is refused
	idle    time.Duration // where it is in: the gateway's idle time-out, 0 if untold
}

type meaningKind uint8

const (
	ignored meaningKind = iota // nothing that concerns the generator
	in                         // the session is open
	refused                    // the connection failed
)

func refusal(kind string) meaning { return meaning{kind: refused, failure: failure{kind: kind}} }

func dialectOf(p Protocol) (*dialect, error) {
	switch p {
	case Linegate:
		return &dialect{
			open: func(b []byte, token string) []byte {
				return append(append(append(b, wire.AuthPrefix...), token...), '\n')
			},
			ping: "ping\n", pong: "pong\n", echo: appendLine, echoed: wire.AppendEcho,
			opened: gatewayLine, otherwise: gatewayLine, needs: true,
		}, nil
	case Lines:
		return &dialect{
			open: func(b []byte, _ string) []byte { return append(b, "ping\n"...) },
			ping: "ping\n", pong: "pong\n", echo: appendLine, echoed: wire.AppendEcho,
			opened:    func(line []byte) meaning { return inAfter(line, "pong\n") },
			otherwise: func([]byte) meaning { return refusal(wrongReply) },
		}, nil
	case Redis, RESP:
		d := &dialect{
			open: func(b []byte, token string) []byte {
				return fmt.Appendf(b, "*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n", len(token), token)
			},
			ping: "PING\r\n", pong: "+PONG\r\n", echo: appendRedisEcho, echoed: appendBulk,
			opened: func(line []byte) meaning {
				if string(line) == "+OK\r\n" {
					return meaning{kind: in}
				}
				return redisError(line)
			},
			otherwise: redisError, needs: true,
		}
		if p == RESP {
			d.ping = "*1\r\n$4\r\nPING\r\n"
		}
		return d, nil
	case NATS:
		return &dialect{
			open: func(b []byte, _ string) []byte {
				return append(b, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n"...)
			},
			ping: "PING\r\n", pong: "PONG\r\n",
			opened: func(line []byte) meaning {
				if bytes.HasPrefix(line, []byte("INFO ")) {
					return meaning{}
				}
				return inAfter(line, "PONG\r\n")
			},
			otherwise: func(line []byte) meaning {
				if bytes.HasPrefix(line, []byte("INFO ")) || string(line) == "PING\r\n" {
					return meaning{} // what it asks for is due in minutes
				}
				return refusal(wrongReply)
			},
		}, nil
	}
	return nil, fmt.Errorf("protocol: %q is none of linegate, lines, redis, resp, nats", p)
}

func appendLine(b, text []byte) []byte { return append(append(b, text...), '\n') }

func appendBulk(b, text []byte) []byte {
	b = append(strconv.AppendInt(append(b, '$'), int64(len(text)), 10), "\r\n"...)
	return append(append(b, text...), "\r\n"...)
}

func appendRedisEcho(b, text []byte) []byte {
	return appendBulk(append(b, "*2\r\n$4\r\nECHO\r\n"...), text)
}

func inAfter(line []byte, want string) meaning {
	if string(line) == want {
		return meaning{kind: in}
	}
	return refusal(wrongReply)
}

// redisError is "-WRONGPASS ...", say: its first word is the kind.
func redisError(line []byte) meaning {
	if word, _, _ := strings.Cut(string(line), " "); strings.HasPrefix(word, "-") {
		return refusal("err " + known(strings.ToLower(strings.TrimSpace(word[1:]))))
	}
	return refusal(wrongReply)
}

// gatewayLine is what a line of linegate means that is not the reply due.
func gatewayLine(line []byte) meaning {
	reply := wire.Parse(bytes.TrimSuffix(line, []byte("\n")))
	switch reply.Verb {
	case wire.OKAuth:
		return meaning{kind: in, idle: reply.Seconds("idle_timeout")}
	case wire.Notice:
		return meaning{}
	case wire.Bye:
		m := refusal("bye " + known(reply.Word))
		m.failure.told = true
		m.failure.retry = reply.Action() == wire.Retry
		m.failure.after = reply.Seconds("retry_after")
		return m
	case wire.Err:
		return refusal("err " + known(reply.Word))
	}
	return refusal(wrongReply)
}

// known keeps the kinds of failures few and printable, whatever a server says.
func known(word string) string {
	for _, c := range []byte(word) {
		if (c < 'a' || c > 'z') && c != '_' {
			return "other"
		}
	}
	if word == "" || len(word) > 32 {
		return "other"
	}
	return word
}
