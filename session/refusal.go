package session

import (
	"errors"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// refuse is the refusal of a token that was verified.
func refuse(o auth.Outcome, identity *auth.Identity) *auth.Error {
	return &auth.Error{
		Outcome: o, IssuerName: identity.IssuerName, KeyID: identity.KeyID,
		Subject: identity.Subject, ClientID: identity.ClientID, TokenID: identity.TokenID,
	}
}

// outcome returns why an attempt to authenticate ended as it did. An error
// that is no refusal is a fault of the gateway.
func outcome(err error) auth.Outcome {
	if err == nil {
		return auth.OK
	}
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		return refused.Outcome
	}
	return auth.Internal
}

// refusal says what a client is told of an AUTH that failed: of the token
// itself never more than that it was refused.
func refusal(err error) (code wire.Code, retryAfter int64) {
	switch outcome(err) {
	case auth.Scope:
		code = wire.InsufficientScope
	case auth.KeysUnavailable, auth.Overload:
		code = wire.TemporarilyUnavailable
	case auth.TooManySessions:
		code = wire.TooManySessions
	case auth.Mismatch:
		code = wire.IdentityMismatch
	case auth.RateLimited:
		code = wire.RateLimited
	case auth.Internal:
		code = wire.InternalError
	default:
		code = wire.InvalidToken
	}
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		retryAfter = wire.Seconds(refused.RetryAfter)
	}
	return code, retryAfter
}

// refusedBy names the issuer of a refused token, where it is a configured one.
func refusedBy(err error) string {
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		return refused.IssuerName
	}
	return ""
}
