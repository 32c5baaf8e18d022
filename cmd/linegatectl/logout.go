package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

type logoutFlags struct {
	issuer, clientID, store string
}

func newLogout(c *console) *cobra.Command {
	var f logoutFlags
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "End a login: at the issuer, and here",
		Long: `logout asks the issuer to revoke the login's tokens (RFC 7009) and deletes them
here. Where the issuer cannot be reached, or offers no revocation, they are
deleted all the same, and a warning says so. Access tokens that were given out
before are accepted by gateways until they expire.

` + storeHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := openStore(c, f.store)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), c, store)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.issuer, "issuer", devIssuer, "`URL` of the issuer of the login")
	flags.StringVar(&f.clientID, "client-id", "", "client `ID` of the login (default: the only one there is)")
	addStoreFlag(cmd, &f.store)
	return cmd
}

func (f *logoutFlags) run(ctx context.Context, c *console, store *tokenStore) error {
	stored, err := store.find(f.issuer, f.clientID)
	if err != nil {
		return whichLogin("client-id", err)
	}
	if stored == nil {
		_, err := fmt.Fprintf(c.stdout, "There is no login at %s.\n", f.issuer)
		return failed(err)
	}
	issuer, clientID := stored.Issuer, stored.ClientID
	var ended login
	var revokeErr error
	err = store.update(ctx, func(all *contents) error {
		// Read again: another process may have renewed it, or logged out.
		if l := all.at(issuer, clientID); l != nil {
			ended, revokeErr = *l, revoke(ctx, c.transport, *l)
			all.remove(issuer, clientID)
		}
		return nil
	})
	if err != nil {
		return failed(err)
	}
	if revokeErr != nil {
		fmt.Fprintf(c.stderr, "linegatectl: warning: the tokens are deleted here, but not revoked at the issuer: %s\n", plain(revokeErr))
	}
	_, err = fmt.Fprintf(c.stdout, "Logged out: %s at %s\n", ended.who(), issuer)
	return failed(err)
}

// revoke ends l at its issuer, for which it has 10 s.
func revoke(ctx context.Context, transport http.RoundTripper, l login) error {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	oauth, err := discover(ctx, transport, l.Issuer, l.ClientID)
	if err != nil {
		return err
	}
	return oauth.revoke(ctx, l)
}
