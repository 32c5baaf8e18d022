package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/oplog"
	"github.com/linegate/linegate/wire"
)

// Authenticator judges the tokens of operators.
type Authenticator interface {
	// Verify returns whom a token speaks for, or an *auth.Error.
	Verify(ctx context.Context, token string, proof auth.Proof) (*auth.Identity, error)
	// Scopes are those that Verify demands.
	Scopes() []string
}

// verifyTimeout is how long a check waits for a key that is not known yet.
const verifyTimeout = 5 * time.Second

// authenticate returns whose token the request brings, in its header and
// nowhere else (RFC 6750 section 2.1), or the refusal of section 3.
func (a *API) authenticate(r *http.Request) (*auth.Identity, error) {
	token, refusal, err := bearerToken(r)
	if err != nil {
		a.refused(r, err)
		return nil, refusal
	}
	ctx, cancel := context.WithTimeout(r.Context(), verifyTimeout)
	defer cancel()
	operator, err := a.Authenticator.Verify(ctx, token, proof(r))
	if err != nil {
		a.refused(r, err)
		return nil, a.refusal(err)
	}
	return operator, nil
}

const challenge = `Bearer realm="linegate"`

var (
	errNoToken  = errors.New("no token in the Authorization header")
	errNoBearer = errors.New("malformed or several Authorization headers")
	errInQuery  = errors.New("a token in the address")
)

// bearerToken finds the token. With an error it returns what the client is told
// of it.
func bearerToken(r *http.Request) (token string, told *problem, err error) {
	if strings.Contains(r.URL.RawQuery, "access_token") { // it would stand in logs on the way
		return "", malformed("access_token: a token belongs in the Authorization header"), errInQuery
	}
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return "", malformed("Authorization: sent more than once"), errNoBearer
	}
	scheme, token, _ := strings.Cut(strings.Join(headers, ""), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		// Whoever does not know that a token is needed is told that and
		// no more (section 3.1).
		return "", &problem{status: http.StatusUnauthorized, header: map[string]string{"WWW-Authenticate": challenge}}, errNoToken
	}
	token = strings.TrimLeft(token, " ")
	if !isToken(token) {
		return "", malformed("Authorization: want Bearer and one token"), errNoBearer
	}
	return token, nil, nil
}

// isToken reports whether s is a b64token of section 2.1.
func isToken(s string) bool {
	s = strings.TrimRight(s, "=")
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~+/", c)
	})
}

func malformed(text string) *problem {
	p := invalidRequest(text)
	p.header = map[string]string{"WWW-Authenticate": challenge + `, error="invalid_request"`}
	return p
}

// proof is what the connection proves of the operator besides the token.
func proof(r *http.Request) auth.Proof {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return auth.Proof{}
	}
	return auth.Proof{Certificate: r.TLS.PeerCertificates[0].Raw}
}

// refusal is what a client is told of a token that was not accepted: never why.
func (a *API) refusal(err error) *problem {
	refused, ok := errors.AsType[*auth.Error](err)
	if !ok {
		return serverError("the token could not be checked")
	}
	switch refused.Outcome {
	case auth.Scope:
		scope := strings.Join(a.Authenticator.Scopes(), " ")
		return &problem{
			status: http.StatusForbidden, code: "insufficient_scope", text: "the token must have the scope " + scope,
			header: map[string]string{"WWW-Authenticate": fmt.Sprintf(`%s, error="insufficient_scope", scope="%s"`, challenge, scope)},
		}
	case auth.KeysUnavailable, auth.Overload:
		return &problem{
			status: http.StatusServiceUnavailable, code: "temporarily_unavailable", text: "the token cannot be checked now",
			header: map[string]string{"Retry-After": strconv.FormatInt(max(1, wire.Seconds(refused.RetryAfter)), 10)},
		}
	case auth.Internal:
		return serverError("the token could not be checked")
	}
	return &problem{
		status: http.StatusUnauthorized, code: "invalid_token", text: "the token is not accepted; the gateway's log says why",
		header: map[string]string{"WWW-Authenticate": challenge + `, error="invalid_token"`},
	}
}

// refused logs why a request was refused, as sessions do of a login.
func (a *API) refused(r *http.Request, err error) {
	refused, ok := errors.AsType[*auth.Error](err)
	if !ok {
		refused = &auth.Error{Outcome: auth.Internal, Err: err}
		if errors.Is(err, errNoToken) || errors.Is(err, errNoBearer) || errors.Is(err, errInQuery) {
			refused.Outcome = auth.Format
		}
	}
	attrs := []any{
		slog.String("outcome", refused.Outcome.String()), slog.String("remote", r.RemoteAddr),
		slog.String("issuer", refused.IssuerName), foreign("kid", refused.KeyID), slog.String("claim", refused.Claim),
	}
	for key, value := range refused.Names() {
		attrs = append(attrs, foreign(key, value))
	}
	if refused.Err != nil {
		attrs = append(attrs, slog.Any("error", refused.Err))
	}
	a.Log.Warn("admin request refused", attrs...)
}

// foreign is an attribute whose value a client chose.
func foreign(key, value string) slog.Attr {
	return slog.Attr{Key: key, Value: oplog.Foreign(value)}
}
