package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/linegate/linegate/wire"
)

// TokenSource yields the access token for an AUTH: a compact JWS (RFC 7515
// section 7.1). With fresh set, a token that was handed out before will not
// do, since the gateway refused it or it is about to expire: a cache is to be
// bypassed. A source may be asked by several goroutines.
type TokenSource interface {
	Token(ctx context.Context, fresh bool) (string, error)
}

// FixedToken is a source that always yields the same token. Its sessions end
// when that expires.
type FixedToken string

// Token returns the token.
func (t FixedToken) Token(context.Context, bool) (string, error) { return string(t), nil }

// String keeps the token out of logs.
func (FixedToken) String() string { return "<token>" }

// GoString keeps the token out of logs.
func (FixedToken) GoString() string { return "<token>" }

// TokenFile is a source that reads the token from the first line of the file
// of this name, anew each time: whatever renews the token replaces the file.
type TokenFile string

// Token reads the file.
func (name TokenFile) Token(context.Context, bool) (string, error) {
	f, err := os.Open(string(name))
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	token := string(wire.Trim(line))
	if err := checkToken(token); err != nil {
		return "", fmt.Errorf("token file %s: first line: %w", string(name), err)
	}
	return token, nil
}

// maxTokenFile is more than any gateway takes as a token.
const maxTokenFile = 64 << 10

var errNoToken = errors.New("not a token (a compact JWS of [A-Za-z0-9_-] and dots)")

// checkToken refuses what could not stand in an AUTH line, above all an LF
// that would end it early. It never tells what it saw.
func checkToken(token string) error {
	if kind, _ := wire.Request([]byte(wire.AuthPrefix + token)); kind != wire.Auth {
		return errNoToken
	}
	return nil
}
