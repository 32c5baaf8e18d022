package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// identify holds the claims to the issuer's rules and says whom they speak for.
// That is worth nothing before the signature is verified, and keeps the token's
// bytes until own.
func (iss *issuer) identify(t *token, proof Proof, now time.Time) (*Identity, *Error) {
	t.grant = Grant{
		IssuerName: iss.Name, Issuer: iss.Issuer, MaxLifetime: iss.MaxLifetime,
		issuer: iss, alg: t.alg, named: t.kid != "",
	}
	id := &Identity{Grant: &t.grant}
	if refusal := iss.checkTimes(t, now, id); refusal != nil {
		return nil, refusal
	}
	if refusal := iss.checkKind(t); refusal != nil {
		return nil, refusal
	}
	if refusal := checkBinding(t, proof, id); refusal != nil {
		return nil, refusal
	}
	if refusal := iss.checkAudience(t); refusal != nil {
		return nil, refusal
	}
	if refusal := iss.readNames(t, id); refusal != nil {
		return nil, refusal
	}
	if refusal := iss.readScopes(t, id); refusal != nil {
		return nil, refusal
	}
	return id, nil
}

var (
	errExpired     = errors.New("has passed")
	errAhead       = errors.New("is in the future")
	errForeignKind = errors.New("belongs to another kind of token")
	errNoValue     = errors.New("has none of the values asked for")
	errSpace       = errors.New("an array element with a space in it")
)

// checkTimes looks at exp, nbf and iat (RFC 7519 sections 4.1.4 to 4.1.6). The
// leeway forgives an issuer whose clock runs ahead, never a token that is over.
func (iss *issuer) checkTimes(t *token, now time.Time, id *Identity) *Error {
	exp, found, err := t.claims.date("exp")
	if !found {
		err = errMissing
	}
	if err != nil {
		return refuse(Claims, "exp", err)
	}
	id.Expires = time.Unix(min(exp, lastSecond), 0)
	if !now.Before(id.Expires) {
		return refuse(Expired, "exp", errExpired)
	}
	for _, name := range [...]string{"nbf", "iat"} {
		seconds, found, err := t.claims.date(name)
		if err != nil {
			return refuse(Claims, name, err)
		}
		if !found {
			continue
		}
		at := time.Unix(seconds, 0)
		if at.After(now.Add(iss.Leeway)) {
			return refuse(NotYetValid, name, errAhead)
		}
		id.validFrom = max(id.validFrom, at.Add(-iss.Leeway).Unix())
		if name == "iat" {
			id.IssuedAt = at
		}
	}
	return nil
}

// lastSecond is the last of the year 9999. No later one can be written by RFC
// 3339, in a log or an answer, and none makes a difference.
const lastSecond = 253402300799

// checkKind makes sure that it is an access token, so that another
// kind by the same issuer cannot stand in for one (RFC 8725 section 3.12).
func (iss *issuer) checkKind(t *token) *Error {
	if normalType(t.typ) != accessTokenType {
		// Only ID tokens, logout tokens and security event tokens have
		// these. Another typ does not tell them apart.
		for _, name := range [...]string{"at_hash", "c_hash", "events"} {
			if t.claims.has(name) {
				return refuse(Type, name, errForeignKind)
			}
		}
	} else {
		// RFC 9068 section 2.2 demands these by name, whatever is configured.
		for _, name := range [...]string{"client_id", "jti"} {
			if _, found, refusal := t.name(name); refusal != nil {
				return refusal
			} else if !found {
				return refuse(Claims, name, errMissing)
			}
		}
		if !t.claims.has("iat") {
			return refuse(Claims, "iat", errMissing)
		}
	}
	for _, name := range iss.requiredClaims {
		values, _, err := t.claims.list(name)
		if err != nil {
			return refuse(Claims, name, err)
		}
		if !overlap(values, iss.RequiredClaims[name]) {
			return refuse(Claims, name, errNoValue)
		}
	}
	return nil
}

func (iss *issuer) checkAudience(t *token) *Error {
	values, _, err := t.claims.list(iss.AudienceClaim)
	if err != nil {
		return refuse(Claims, iss.AudienceClaim, err)
	}
	if !overlap(values, iss.Audience) {
		return refuse(Audience, iss.AudienceClaim, errNoValue)
	}
	return nil
}

// own makes the Identity independent of the token, or a session would keep all
// of that alive. It is for verified tokens: a stranger's names have no place in a
// table that all share.
func (id *Identity) own() {
	names, n := id.Subject+id.TokenID, len(id.Subject) // one object and not two
	id.Subject, id.TokenID = names[:n], names[n:]
	id.Grant = id.issuer.grants.share(id.Grant)
}

// readNames reads the subject, the client id and the token id.
func (iss *issuer) readNames(t *token, id *Identity) *Error {
	subject, found, refusal := t.name(iss.SubjectClaim)
	if refusal == nil && !found {
		refusal = refuse(Claims, iss.SubjectClaim, errMissing)
	}
	if refusal != nil {
		return refusal
	}
	id.Subject = subject
	if id.ClientID, refusal = t.firstName(iss.ClientIDClaims); refusal != nil {
		return refusal
	}
	id.TokenID, refusal = t.firstName(iss.TokenIDClaims)
	return refusal
}

// names are those of a refused token, as far as they can be read.
func (iss *issuer) names(t *token) (subject, clientID, tokenID string) {
	subject, _, _ = t.name(iss.SubjectClaim)
	clientID, _ = t.firstName(iss.ClientIDClaims)
	tokenID, _ = t.firstName(iss.TokenIDClaims)
	return subject, clientID, tokenID
}

func (t *token) firstName(claims []string) (string, *Error) {
	for _, claim := range claims {
		if value, found, refusal := t.name(claim); found || refusal != nil {
			return value, refusal
		}
	}
	return "", nil
}

// name returns a claim that is a string of 1 to maxName bytes, if present.
func (t *token) name(claim string) (value string, found bool, refusal *Error) {
	value, found, err := t.claims.text(claim)
	switch {
	case err != nil:
		return "", found, refuse(Claims, claim, err)
	case found && value == "":
		return "", found, refuse(Claims, claim, errEmptyName)
	case len(value) > maxName:
		return "", found, refuse(Claims, claim, errTooLong)
	}
	return value, found, nil
}

var errEmptyName = errors.New("an empty string")

// readScopes gathers the scopes (RFC 6749 section 3.3).
func (iss *issuer) readScopes(t *token, id *Identity) *Error {
	for _, claim := range iss.ScopeClaims {
		values, single, err := t.claims.list(claim)
		if err != nil {
			return refuse(Claims, claim, err)
		}
		if single {
			values = strings.Split(values[0], " ")
		}
		for _, scope := range values {
			if strings.Contains(scope, " ") {
				return refuse(Claims, claim, errSpace)
			}
			if scope == "" {
				continue
			}
			if len(id.Scopes) == maxScopes {
				return refuse(Claims, claim, errManyScopes)
			}
			id.Scopes = append(id.Scopes, scope)
		}
	}
	slices.Sort(id.Scopes)
	id.Scopes = slices.Clip(slices.Compact(id.Scopes))
	return nil
}

// checkScopes looks for the scopes that are required.
func (iss *issuer) checkScopes(id *Identity) *Error {
	for _, scope := range iss.RequiredScopes {
		if !slices.Contains(id.Scopes, scope) {
			return refuse(Scope, iss.ScopeClaims[0], fmt.Errorf("%q is missing", scope))
		}
	}
	return nil
}

// maxScopes is the most scopes that a token may have, repeated ones counted
// each time: a session keeps them all.
const maxScopes = 256

var errManyScopes = errors.New("more than 256 scopes")

func overlap(values, allowed []string) bool {
	for _, value := range values {
		if slices.Contains(allowed, value) {
			return true
		}
	}
	return false
}
