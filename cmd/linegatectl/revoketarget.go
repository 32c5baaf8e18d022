package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linegate/linegate/internal/config"
)

// targetFlags say what is revoked: exactly one of them, with the issuer where it
// takes that to know whose.
type targetFlags struct {
	session, tokenFile, tokenID, subject, clientID, keyID string
	allOfIssuer                                           bool
	issuer, config                                        string
}

func (f *targetFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.session, "session", "", "the token that the session of this `ID` has now")
	flags.StringVar(&f.tokenFile, "token-file", "", "the token that is the first line of a `file`; - is standard input")
	flags.StringVar(&f.tokenID, "token-id", "", "the token of this `ID` (jti)")
	flags.StringVar(&f.subject, "subject", "", "the tokens issued to a `subject`")
	flags.StringVar(&f.clientID, "client-id", "", "the tokens issued to the client of this `ID`")
	flags.StringVar(&f.keyID, "key-id", "", "the tokens signed by the key of this `ID`: its kid or RFC 7638 thumbprint; wants --yes")
	flags.BoolVar(&f.allOfIssuer, "all-of-issuer", false, "all tokens of the issuer; wants --yes")
	flags.StringVar(&f.issuer, "issuer", "", "the issuer's configured `name`, or its URL")
	flags.StringVar(&f.config, "config", "", "the gateway's configuration `file`, where the id of --token-file has a name of its own (token_id_claims)")
}

const targetNames = "--session, --token-file, --token-id, --subject, --client-id, --key-id or --all-of-issuer"

// kind returns the name of the one flag that says what is revoked.
func (f *targetFlags) kind(cmd *cobra.Command) (string, error) {
	kind := ""
	for name := range strings.FieldsSeq("session token-file token-id subject client-id key-id all-of-issuer") {
		switch flag := cmd.Flags().Lookup(name); {
		case !flag.Changed:
		case kind != "":
			return "", fmt.Errorf("--%s: not beside --%s; want one of %s", name, kind, targetNames)
		case flag.Value.String() == "" || flag.Value.String() == "false":
			return "", fmt.Errorf("--%s: is empty", name)
		default:
			kind = name
		}
	}
	issuer, config := cmd.Flags().Changed("issuer"), cmd.Flags().Changed("config")
	switch {
	case kind == "":
		return "", errors.New("nothing to revoke: want one of " + targetNames)
	case (kind == "session" || kind == "token-file") && issuer:
		return "", fmt.Errorf("--issuer: not with --%s, which tells it", kind)
	case config && kind != "token-file":
		return "", errors.New("--config: only with --token-file")
	case kind != "session" && kind != "token-file" && f.issuer == "":
		return "", fmt.Errorf("--issuer: its configured name is needed with --%s", kind)
	}
	return kind, nil
}

// revocation returns what the flag of this kind asks for.
func (f *targetFlags) revocation(cmd *cobra.Command, c *console, kind string) (revocation, error) {
	switch kind {
	case "session":
		return revocation{Session: f.session}, nil
	case "token-file":
		return f.ofTokenFile(cmd, c)
	}
	// The flags of the others are empty.
	return revocation{
		Issuer: f.issuer, TokenID: f.tokenID, Subject: f.subject, ClientID: f.clientID, KeyID: f.keyID, All: f.allOfIssuer,
	}, nil
}

// ofTokenFile reads a token's issuer, id and expiry. Nothing is checked: what is made up
// in it revokes another token at worst, which whoever made it up could name as
// well.
func (f *targetFlags) ofTokenFile(cmd *cobra.Command, c *console) (revocation, error) {
	issuers, err := f.issuers()
	if err != nil {
		return revocation{}, err
	}
	token, err := readToken(cmd.Context(), c, "token-file", f.tokenFile)
	if err != nil {
		return revocation{}, failed(interrupted(cmd.Context(), err))
	}
	_, claims, err := decode(token)
	if err != nil {
		return revocation{}, failed(fmt.Errorf("--token-file: %w", err))
	}
	expires := expiryOf(claims)
	if expires.IsZero() {
		return revocation{}, failed(errors.New("--token-file: the token does not say when it expires (exp): no gateway takes it"))
	}
	iss, _ := claims["iss"].(string)
	if iss == "" {
		return revocation{}, failed(errors.New("--token-file: the token does not name its issuer (iss): no gateway takes it"))
	}
	names := config.NewIssuer().TokenIDClaims
	if f.config != "" {
		n := slices.IndexFunc(issuers, func(i config.Issuer) bool { return i.Issuer == iss })
		if n < 0 {
			return revocation{}, failed(fmt.Errorf("--token-file: %s has no issuer %s, which the token names (iss)", f.config, brief(iss, true)))
		}
		names = issuers[n].TokenIDClaims
	}
	for _, name := range names {
		if id, _ := claims[name].(string); id != "" {
			return revocation{Issuer: iss, TokenID: id, ExpiresAt: expires}, nil
		}
	}
	return revocation{}, failed(fmt.Errorf("--token-file: the token has no id (%s): revoke its --session or --subject", strings.Join(names, ", ")))
}

// issuers returns those that --config has.
func (f *targetFlags) issuers() ([]config.Issuer, error) {
	if f.config == "" {
		return nil, nil
	}
	loaded, _, err := config.Load(config.Options{Path: f.config, SkipFiles: true})
	if err != nil {
		return nil, &badConfig{err}
	}
	return loaded.Issuers, nil
}
