package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// loginClient is the id of this program where no other is given.
const loginClient = "linegatectl"

type loginFlags struct {
	issuer, clientID   string
	scopes             []string
	audience, resource string
	store              string
	device, noBrowser  bool
	admin              bool
}

func newLogin(c *console) *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in at an issuer in the browser, or by --device on another machine",
		Long: `login lets a person sign in at the issuer and stores the tokens, with which
connect and token then work without further questions, until logout or until the
issuer ends the login. With --admin so do sessions, kick and revoke, if the
issuer lets this person be an operator.

It opens the browser, and prints the address in any case. The answer comes back
to a port of 127.0.0.1 that lives as long as the question, 5 min at most
(authorization code with PKCE, RFC 6749, 7636, 8252). So the browser must run on
this machine; where there is none, --device shows an address, a code and a QR
code for the browser of any other device (RFC 8628).

The issuer must know the client, as a public one, with redirect address
http://127.0.0.1/callback on any port, or with the device grant.

Browsers are opened by the commands of the environment variable BROWSER where it
is set, a list as PATH is, %s in them being the address; else by the system's
own.

` + storeHelp,
		Example: `  linegatectl login
  linegatectl login --issuer https://login.example.com --client-id my-client
  linegatectl login --admin
  linegatectl login --device`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.device && f.noBrowser {
				return errors.New("--no-browser: not beside --device, which opens none")
			}
			if f.admin && !slices.Contains(f.scopes, adminScope) {
				f.scopes = append(f.scopes, adminScope)
			}
			store, err := openStore(c, f.store)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), c, store)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.issuer, "issuer", devIssuer, "authorization server `URL`; its endpoints are discovered (RFC 8414, OpenID Connect)")
	flags.StringVar(&f.clientID, "client-id", loginClient, "client `ID`, of a public client")
	flags.StringSliceVar(&f.scopes, "scope", []string{"line:connect", offlineAccess}, "`scope` to ask for, repeated or comma-separated")
	flags.BoolVar(&f.admin, "admin", false, "ask for the scope "+adminScope+" besides, which sessions, kick and revoke want")
	flags.StringVar(&f.audience, "audience", "", "`audience` parameter that some issuers want beside the scope")
	flags.StringVar(&f.resource, "resource", "", "`URI` of the resource that the token is for (RFC 8707)")
	flags.BoolVar(&f.device, "device", false, "log in with the browser of another device")
	flags.BoolVar(&f.noBrowser, "no-browser", false, "open no browser, only print the address")
	addStoreFlag(cmd, &f.store)
	return cmd
}

const storeHelp = `The tokens are kept in tokens.json in linegatectl's folder of the user's
configuration directory, or in the file of --token-store or of the environment
variable ` + storeVariable + `. Only its owner may be able to read it.`

func addStoreFlag(cmd *cobra.Command, store *string) {
	cmd.Flags().StringVar(store, "token-store", "", "`file` where logins are stored, instead of "+storeVariable+" or the user's configuration directory")
}

// offlineAccess asks for a refresh token (OpenID Connect Core section 11).
const offlineAccess = "offline_access"

func (f *loginFlags) run(ctx context.Context, c *console, store *tokenStore) error {
	// Nobody shall sign in before it is known that it can be kept.
	if err := store.update(ctx, func(*contents) error { return nil }); err != nil {
		return err
	}
	oauth, err := discover(ctx, c.transport, f.issuer, f.clientID)
	if err != nil {
		return failed(interrupted(ctx, err))
	}
	wanted := login{
		Issuer: f.issuer, ClientID: f.clientID, Scope: strings.Join(f.scopes, " "),
		Audience: f.audience, Resource: f.resource,
	}
	keep := func(l login) error {
		return store.update(context.WithoutCancel(ctx), func(all *contents) error {
			all.put(l)
			return nil
		})
	}
	var got login
	if f.device {
		got, err = f.byDevice(ctx, c, oauth, wanted, keep)
	} else {
		got, err = f.byBrowser(ctx, c, oauth, wanted, keep)
	}
	if err != nil {
		return failed(interrupted(ctx, err))
	}
	fmt.Fprintf(c.stdout, "Logged in as %s at %s, for: %s\n", got.who(), got.Issuer, brief(got.Scope, true))
	if got.RefreshToken == "" && !got.Expires.IsZero() {
		fmt.Fprintf(c.stdout, "The issuer gave no refresh token: the login ends in %v.\n", time.Until(got.Expires).Round(time.Second))
	}
	return nil
}

func (f *loginFlags) byBrowser(ctx context.Context, c *console, oauth *oauthClient, wanted login, keep func(login) error) (login, error) {
	methods := oauth.metadata.ChallengeMethods
	switch {
	case oauth.metadata.AuthorizationEndpoint == "":
		return login{}, fmt.Errorf("issuer %s names no authorization endpoint that can be used; is there --device?", f.issuer)
	case methods != nil && !slices.Contains(methods, "S256"):
		return login{}, fmt.Errorf("issuer %s does not take PKCE with S256, without which a code could be stolen", f.issuer)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return login{}, err
	}
	flow := newCodeFlow(oauth, wanted, listener, keep)
	address := flow.address()
	fmt.Fprintf(c.stdout, "To log in at %s, open this address in a browser on this machine:\n\n  %s\n\n", f.issuer, address)
	switch {
	case f.noBrowser:
	case openBrowser(c, address):
		fmt.Fprintln(c.stdout, "A browser is being opened.")
	default:
		fmt.Fprintln(c.stdout, "There is no browser to open here. For one on another machine: linegatectl login --device")
	}
	fmt.Fprintf(c.stdout, "Waiting for the answer, at most %v; Ctrl-C gives up.\n", loginTimeout)
	return flow.run(ctx)
}

func (f *loginFlags) byDevice(ctx context.Context, c *console, oauth *oauthClient, wanted login, keep func(login) error) (login, error) {
	if oauth.metadata.DeviceAuthorizationEndpoint == "" {
		return login{}, fmt.Errorf("issuer %s names no device authorization endpoint that can be used", f.issuer)
	}
	got, err := deviceFlow(ctx, c.stdout, oauth, wanted)
	if err != nil {
		return login{}, err
	}
	return got, keep(got)
}

// interrupted says so where that is why something failed.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
