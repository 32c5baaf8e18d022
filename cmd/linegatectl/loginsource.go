package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// loginSource is the client.TokenSource of a stored login: it renews the tokens
// in the file, and takes over what other processes have renewed there.
type loginSource struct {
	store            *tokenStore
	issuer, clientID string
	admin            bool              // it is an operator's
	transport        http.RoundTripper // nil: the default

	mu     sync.Mutex
	client *oauthClient // nil until discovered
	last   string       // the token that was handed out last
}

// Token returns the stored access token, renewed when it lasts no more. With
// fresh it returns another one than it did last. A refresh that the issuer
// refuses ends the login: only a person can log in again.
func (s *loginSource) Token(ctx context.Context, fresh bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, err := s.store.find(s.issuer, s.clientID)
	if err != nil {
		return "", err
	}
	if stored == nil {
		return "", s.again("logged out")
	}
	if !s.serves(*stored, fresh) {
		renewed, err := s.renew(ctx, fresh)
		switch {
		case err == nil:
			stored = &renewed
		case fresh || !stored.alive(time.Now()):
			return "", err
		}
	}
	s.last = stored.AccessToken
	return s.last, nil
}

// serves reports whether the token that l has will do.
func (s *loginSource) serves(l login, fresh bool) bool {
	return l.lasts(time.Now()) && (!fresh || s.last != "" && l.AccessToken != s.last)
}

// renew refreshes the stored login, unless another process has done so in the
// meantime.
func (s *loginSource) renew(ctx context.Context, fresh bool) (renewed login, err error) {
	if s.client == nil {
		if s.client, err = discover(ctx, s.transport, s.issuer, s.clientID); err != nil {
			return login{}, err
		}
	}
	err = s.store.update(ctx, func(all *contents) error {
		stored := all.at(s.issuer, s.clientID)
		switch {
		case stored == nil:
			return s.again("logged out")
		case s.serves(*stored, fresh):
			renewed = *stored
			return nil
		case stored.RefreshToken == "":
			return s.again("the " + stored.String() + " cannot be renewed")
		}
		// Once the issuer has the request, the old refresh token is spent: the
		// answer must be taken, whoever is in a hurry.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issuerTimeout)
		defer cancel()
		renewed, err = s.client.refresh(ctx, *stored)
		r, refused := errors.AsType[*refusal](err)
		switch {
		case refused && r.code == "invalid_grant": // section 5.2: for good
			stored.RefreshToken = ""
			return s.again("the issuer ended the login: " + r.text)
		case err != nil && !refused:
			s.client = nil // perhaps it moved: discover again
			fallthrough
		case err != nil:
			stored.RefreshToken = renewed.RefreshToken // may be new all the same
			return fmt.Errorf("the %s was not renewed: %w", stored, err)
		}
		*stored = renewed
		return nil
	})
	return renewed, err
}

// again is an error that only a person can do something about.
func (s *loginSource) again(why string) error {
	return fmt.Errorf("%s; log in again: %s", why, s.store.loginCommand(s.issuer, s.clientID, s.admin))
}

// loginCommand is the command that makes a login, for a person to paste.
func (s *tokenStore) loginCommand(issuer, clientID string, admin bool) string {
	command := "linegatectl login"
	if admin {
		command += " --admin"
	}
	if issuer != devIssuer {
		command += " --issuer " + brief(issuer, true)
	}
	if clientID != loginClient {
		command += " --client-id " + brief(clientID, true)
	}
	if s.named {
		command += " --token-store " + cell(s.path)
	}
	return command
}
