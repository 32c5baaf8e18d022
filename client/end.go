package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/linegate/linegate/wire"
)

// End says why a session ended, or none began, or (in a Wait) why a renewal
// failed.
type End struct {
	Code       string        // of the BYE or ERR, perhaps one that wire does not know; empty when there was none
	Action     wire.Action   // what the client does now; wire.Retry when the gateway did not say
	RetryAfter time.Duration // not before this; 0 when the gateway did not say
	Text       string        // what the BYE says to a person; never to be parsed
	Err        error         // what happened when there was no line; else nil
}

// Error describes the end for a person. What the gateway sent is escaped.
func (e *End) Error() string {
	switch {
	case e.Code == "":
		return fmt.Sprintf("client: connection ended without a BYE: %v", e.Err)
	case e.Text == "":
		return fmt.Sprintf("client: the gateway said %s", printable(e.Code))
	}
	return fmt.Sprintf("client: the gateway said %s: %s", printable(e.Code), printable(e.Text))
}

// Unwrap returns Err.
func (e *End) Unwrap() error { return e.Err }

// endOf reads a BYE or ERR.
func endOf(r wire.Reply) *End {
	return &End{
		Code:       r.Word,
		Action:     r.Action(),
		RetryAfter: r.Seconds("retry_after"),
		Text:       string(r.Text),
	}
}

// asEnd returns the End in err's chain, or one for a failure that the gateway
// said nothing about.
func asEnd(err error) *End {
	if end, ok := errors.AsType[*End](err); ok {
		return end
	}
	return &End{Action: wire.Retry, Err: err}
}
