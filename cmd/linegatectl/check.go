package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/wire"
)

// checkFlags say against which issuers a token is checked. They are those of
// linegate serve.
type checkFlags struct {
	config                  string
	issuer, jwksURI         string
	audience, scopes, types []string
}

func (f *checkFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "the gateway's configuration `file`, for its issuers")
	flags.StringVar(&f.issuer, "issuer", "", "issuer `URL`, as tokens have it in iss")
	flags.StringVar(&f.jwksURI, "jwks-uri", "", "key set `URL`, instead of discovery at --issuer")
	flags.StringSliceVar(&f.audience, "audience", nil, "`audience` of which the token must have one, repeated or comma-separated")
	flags.StringSliceVar(&f.scopes, "scope", nil, "`scope` that the token must have, repeated or comma-separated")
	flags.StringSliceVar(&f.types, "token-type", nil, "accepted `type` in the header: at+jwt (default), JWT, none")
}

// load returns nil when no issuer is given.
func (f *checkFlags) load(cmd *cobra.Command) (*check, error) {
	given := map[string][]string{}
	for name, values := range map[string][]string{
		"issuer":     {f.issuer},
		"jwks-uri":   {f.jwksURI},
		"audience":   f.audience,
		"scope":      f.scopes,
		"token-type": f.types,
	} {
		if cmd.Flags().Changed(name) {
			given[name] = values
		}
	}
	if f.config == "" && len(given) == 0 {
		return nil, nil
	}
	loaded, _, err := config.Load(config.Options{Path: f.config, Flags: given, SkipFiles: true})
	switch {
	case err != nil && f.config != "":
		return nil, &badConfig{err}
	case err != nil:
		return nil, err
	}
	return &check{issuers: loaded.Issuers, maxAuthLine: int(loaded.Session.MaxAuthLine)}, nil
}

// badConfig is an error about the gateway's configuration file.
type badConfig struct{ err error }

func (b *badConfig) Error() string { return b.err.Error() }
func (b *badConfig) Unwrap() error { return b.err }

// check is the gateway's judgement of a token.
type check struct {
	issuers     []config.Issuer
	maxAuthLine int
	proof       auth.Proof
	now         func() time.Time
}

// checkTimeout bounds it all: discovery and two fetches of keys.
const checkTimeout = 30 * time.Second

// run tells that the token is accepted and as whom, or fails with the check
// that refuses it.
func (c *check) run(ctx context.Context, w io.Writer, token string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if n := len(wire.AuthPrefix) + len(token); n > c.maxAuthLine {
		return refused(&auth.Error{Outcome: auth.Format, Err: fmt.Errorf("an AUTH line of %d bytes; session.max_auth_line is %d", n, c.maxAuthLine)})
	}
	var configs []auth.IssuerConfig
	keys := map[string]*lateKeys{} // by the issuer's name
	for _, issuer := range c.issuers {
		keys[issuer.Name] = &lateKeys{ctx: ctx, issuer: issuer}
		configs = append(configs, issuerConfig(issuer, keys[issuer.Name]))
	}
	verifier, err := auth.NewVerifier(auth.Config{Issuers: configs, Now: c.now})
	if err != nil {
		return err
	}
	identity, err := verifier.Verify(ctx, token, c.proof)
	if err != nil {
		if refusal, ok := errors.AsType[*auth.Error](err); ok && refusal.Outcome == auth.Issuer {
			fmt.Fprintln(w, "\n"+c.configured())
		}
		if late := keys[issuerOf(err)]; late != nil {
			fmt.Fprintln(w, "\n"+terms(late.issuer))
			if late.err != nil {
				return late.err
			}
		}
		return refused(err)
	}
	fmt.Fprintln(w, "\n"+terms(keys[identity.IssuerName].issuer))
	carries := min(identity.Expires.Sub(c.now()), identity.MaxLifetime).Round(time.Second)
	_, err = fmt.Fprintf(w, "accepted: a session as %s with scopes %s, for at most %v\n",
		brief(identity.Subject, true), brief(strings.Join(identity.Scopes, " "), true), carries)
	return err
}

// configured says which issuers there are, for a token that is of none of them.
func (c *check) configured() string {
	text := "configured issuers, one of which iss must be to the byte:"
	for _, i := range c.issuers {
		text += "\n  " + i.Name + "  " + i.Issuer
	}
	return text
}

func refused(err error) error {
	return errors.New("refused: " + strings.TrimPrefix(err.Error(), "auth: "))
}

// issuerOf names the issuer that a refused token came to.
func issuerOf(err error) string {
	if refusal, ok := errors.AsType[*auth.Error](err); ok {
		return refusal.IssuerName
	}
	return ""
}

// terms says what an issuer's tokens are held to.
func terms(i config.Issuer) string {
	scopes := strings.Join(i.RequiredScopes, " ")
	if scopes == "" {
		scopes = "any"
	}
	return fmt.Sprintf("checked by issuer %s: %s %s; typ %s; alg %s; scopes %s", i.Name, i.AudienceClaim,
		strings.Join(i.Audience, " or "), strings.Join(i.TokenTypes, " or "), strings.Join(i.Algorithms, " or "), scopes)
}

func issuerConfig(i config.Issuer, keys auth.KeySource) auth.IssuerConfig {
	return auth.IssuerConfig{
		Name:           i.Name,
		Issuer:         i.Issuer,
		Audience:       i.Audience,
		AudienceClaim:  i.AudienceClaim,
		Algorithms:     i.Algorithms,
		TokenTypes:     i.TokenTypes,
		RequiredClaims: i.RequiredClaims,
		RequiredScopes: i.RequiredScopes,
		ScopeClaims:    i.ScopeClaims,
		SubjectClaim:   i.SubjectClaim,
		ClientIDClaims: i.ClientIDClaims,
		TokenIDClaims:  i.TokenIDClaims,
		Leeway:         i.Leeway,
		MaxLifetime:    i.MaxLifetime,
		Keys:           keys,
	}
}
