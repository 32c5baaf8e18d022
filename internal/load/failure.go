package load

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// The kinds of failures that no line of the server names. The others are "bye"
// and "err" with the server's own word.
const (
	wrongReply  = "wrong reply" // not the one that the request has
	timedOut    = "timeout"     // no reply in Config.Timeout
	keptOut     = "kept out"    // still told to come back when Config.Timeout was over
	closed      = "closed"      // by the server, without a word
	reset       = "reset"
	unreachable = "connection refused"
	handshake   = "tls" // the handshake failed
	noPort      = "no free port"
	otherError  = "network"
)

// failure is why a connection came to an end that it should not have come to.
type failure struct {
	kind  string
	cause string        // in words, where the kind says little
	told  bool          // the server said so in a BYE
	retry bool          // and that the device is to come back
	after time.Duration // and when, at the earliest
}

// failureOf names what an operation of the network returned.
func failureOf(err error) failure {
	kind := otherError
	_, inHandshake := errors.AsType[*handshakeError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		kind = timedOut
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		kind = closed
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		kind = reset
	case errors.Is(err, syscall.ECONNREFUSED):
		kind = unreachable
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE):
		kind = noPort
	case inHandshake:
		kind = handshake
	}
	f := failure{kind: kind}
	if kind == handshake || kind == otherError {
		f.cause = printable(err)
	}
	return f
}

// printable is an error for one line of a terminal: the server may have chosen
// some of it, such as the names in a certificate.
func printable(err error) string {
	const longest = 200
	text := strings.TrimPrefix(err.Error(), "tls: ")
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
