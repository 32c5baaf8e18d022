package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/linegate/linegate/wire"
)

// login is what one issuer gave to one client in the name of a person.
type login struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	Subject  string `json:"subject,omitempty"` // sub of the access token
	Scope    string `json:"scope,omitempty"`   // what was granted, or asked for where the issuer does not say
	Audience string `json:"audience,omitempty"`
	Resource string `json:"resource,omitempty"`

	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"` // empty also once the issuer has refused it
	Obtained     time.Time `json:"obtained"`
	Expires      time.Time `json:"expires,omitzero"` // zero when unknown
}

// String keeps the tokens out of messages.
func (l login) String() string {
	return fmt.Sprintf("login of %s at %s", l.who(), brief(l.Issuer, true))
}

// GoString keeps the tokens out of messages.
func (l login) GoString() string { return l.String() }

// who names the person.
func (l login) who() string {
	if l.Subject == "" {
		return "somebody unnamed"
	}
	return brief(l.Subject, true)
}

// renewBefore is how much life a token must have left to be used for something
// new; one that lives less than twice as long, half of its life.
const renewBefore = time.Minute

// lasts reports whether the access token need not be renewed yet.
func (l login) lasts(now time.Time) bool {
	margin := min(renewBefore, l.Expires.Sub(l.Obtained)/2)
	return l.Expires.IsZero() || !now.Add(margin).After(l.Expires)
}

// alive reports whether the access token has not expired, as far as is known.
func (l login) alive(now time.Time) bool {
	return l.Expires.IsZero() || now.Before(l.Expires)
}

// granted returns l with the tokens of an answer of the token endpoint (RFC
// 6749 section 5.1). It refuses an access token that no gateway takes; what it
// returns has the refresh token all the same, since the earlier one is spent.
func (l login) granted(token *oauth2.Token, now time.Time) (login, error) {
	if token.RefreshToken != "" {
		l.RefreshToken = token.RefreshToken
	}
	// A type that the client does not know must not be used (section 7.1).
	if !strings.EqualFold(token.TokenType, "Bearer") {
		return l, fmt.Errorf("the issuer gave a token of type %s, want Bearer", brief(token.TokenType, true))
	}
	_, claims, err := decode(token.AccessToken)
	if kind, _ := wire.Request([]byte(wire.AuthPrefix + token.AccessToken)); err == nil && kind != wire.Auth {
		err = errors.New("the token has characters that no JWT has")
	}
	if err != nil {
		return l, fmt.Errorf("the issuer gave an access token that no gateway takes: %w (some issuers want --audience or --resource)", err)
	}
	l.AccessToken = token.AccessToken
	l.Obtained, l.Expires = now.UTC().Truncate(time.Second), token.Expiry.UTC().Truncate(time.Second)
	if token.Expiry.IsZero() {
		l.Expires = expiryOf(claims)
	}
	if scope, ok := token.Extra("scope").(string); ok && scope != "" {
		l.Scope = scope
	}
	if sub, ok := claims["sub"].(string); ok {
		l.Subject = sub
	}
	return l, nil
}

// expiryOf reads exp, zero when there is none.
func expiryOf(claims map[string]any) time.Time {
	number, _ := claims["exp"].(json.Number)
	seconds, err := number.Float64()
	if err != nil || !(seconds > 0 && seconds < 1<<53) {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
