package client

import (
	"strconv"
	"time"

	"github.com/linegate/linegate/wire"
)

// Session holds what the gateway said in its last OK. A value that it did not
// send is zero.
type Session struct {
	Subject     string
	ID          string
	ExpiresIn   time.Duration // when the session ends unless renewed
	ReauthIn    time.Duration // when to renew
	IdleTimeout time.Duration
	MaxLine     int // bytes a message may have
}

// Bounds of max_line: what is assumed when the gateway does not say, and what
// is believed.
const (
	usualMaxLine   = 8 << 10
	longestMaxLine = 16 << 20
)

func sessionOf(ok wire.Reply) Session {
	s := Session{
		ExpiresIn:   ok.Seconds("expires_in"),
		ReauthIn:    ok.Seconds("reauth_in"),
		IdleTimeout: ok.Seconds("idle_timeout"),
		MaxLine:     usualMaxLine,
	}
	s.Subject, _ = ok.Value("sub")
	s.ID, _ = ok.Value("session")
	word, _ := ok.Value("max_line")
	if n, err := strconv.Atoi(word); err == nil && n > 0 {
		s.MaxLine = min(n, longestMaxLine)
	}
	return s
}
