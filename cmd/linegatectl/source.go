package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

// The development issuer and its client; its secret is public.
const (
	devIssuer = "http://127.0.0.1:8880"
	devClient = "dev-device"
	devSecret = "dev-secret"
)

const secretVariable = "LINEGATECTL_CLIENT_SECRET"

// sourceFlags say where a token comes from: a stored login, or a client's own
// credentials.
type sourceFlags struct {
	credentialFlags
	robot bool
	store string
}

// credentialFlags say how to get a token with a client's own credentials.
type credentialFlags struct {
	issuer, tokenURL, clientID, secretFile, clientAuth, audience string
	scopes                                                       []string
}

func (f *sourceFlags) add(cmd *cobra.Command) {
	f.credentialFlags.add(cmd)
	cmd.Flags().BoolVar(&f.robot, "client-credentials", false, "use no stored login")
	addStoreFlag(cmd, &f.store)
}

// refuseBeside refuses every flag of a source beside another one, which has the
// tokens already.
func (f *sourceFlags) refuseBeside(other string, cmd *cobra.Command) error {
	for _, name := range []string{"issuer", "token-url", "client-id", "client-secret-file", "client-auth", "scope", "audience", "client-credentials", "token-store"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s: not beside %s", name, other)
		}
	}
	return nil
}

func (f *credentialFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.issuer, "issuer", devIssuer, "authorization server `URL`; its token endpoint is discovered (RFC 8414, OpenID Connect)")
	flags.StringVar(&f.tokenURL, "token-url", "", "token endpoint `URL`, instead of discovery at --issuer")
	flags.StringVar(&f.clientID, "client-id", devClient, "client `ID`; a login is looked for with any")
	flags.StringVar(&f.secretFile, "client-secret-file", "", "`file` whose first line is the client's secret")
	flags.StringVar(&f.clientAuth, "client-auth", "basic", "how id and secret are sent: basic or post (RFC 6749 section 2.3.1)")
	flags.StringSliceVar(&f.scopes, "scope", nil, "`scope` to ask for, repeated or comma-separated (default: what the server gives)")
	flags.StringVar(&f.audience, "audience", "", "`audience` parameter that some servers want beside the scope")
}

const sourceHelp = `With a login stored for the issuer (linegatectl login), the token is that
login's, renewed when it has less than a minute to live, or less than half of
its life. Otherwise it comes by client credentials (RFC 6749 section 4.4), as it
does with --client-credentials or with anything that only they have use for:
--token-url, --client-secret-file, --client-auth, --scope, --audience, or
` + secretVariable + `.

The client's secret comes from --client-secret-file or from the environment
variable ` + secretVariable + `. With client ` + devClient + ` at an http issuer
on loopback, the development issuer, neither is needed. Private certificate
authorities of an issuer are taken from SSL_CERT_FILE.`

// source returns the token source that the flags describe, and the login that
// it uses, nil if none.
func (f *sourceFlags) source(cmd *cobra.Command, c *console) (client.TokenSource, *login, error) {
	if !f.wantsLogin(cmd, c) {
		source, err := f.credentialFlags.source(c)
		return source, nil, err
	}
	clientID := ""
	if cmd.Flags().Changed("client-id") {
		clientID = f.clientID
	}
	store, err := openStore(c, f.store)
	if err != nil { // a robot may have no home
		source, err := f.credentialFlags.source(c)
		return source, nil, err
	}
	stored, err := store.find(f.issuer, clientID)
	if err != nil {
		return nil, nil, whichLogin("client-id", err)
	}
	if stored == nil {
		source, err := f.credentialFlags.source(c)
		return source, nil, err
	}
	return &loginSource{store: store, issuer: stored.Issuer, clientID: stored.ClientID, transport: c.transport}, stored, nil
}

// wantsLogin reports whether nothing was given that only client credentials
// have use for.
func (f *sourceFlags) wantsLogin(cmd *cobra.Command, c *console) bool {
	for _, name := range []string{"token-url", "client-secret-file", "client-auth", "scope", "audience"} {
		if cmd.Flags().Changed(name) {
			return false
		}
	}
	_, secret := c.variable(secretVariable)
	return !secret && !f.robot
}

// source returns the source of tokens by client credentials.
func (f *credentialFlags) source(c *console) (client.TokenSource, error) {
	if f.clientAuth != "basic" && f.clientAuth != "post" {
		return nil, fmt.Errorf("--client-auth: %q is neither basic nor post", f.clientAuth)
	}
	secret, err := f.secret(c)
	if err != nil {
		return nil, err
	}
	params := url.Values{}
	if f.audience != "" {
		params.Set("audience", f.audience)
	}
	return client.NewClientCredentials(client.CredentialsConfig{
		Issuer:       f.issuer,
		TokenURL:     f.tokenURL,
		ClientID:     f.clientID,
		ClientSecret: secret,
		Post:         f.clientAuth == "post",
		Scopes:       f.scopes,
		Params:       params,
	})
}

func (f *credentialFlags) secret(c *console) (string, error) {
	if f.secretFile != "" {
		file, err := os.Open(f.secretFile)
		if err != nil {
			return "", failed(fmt.Errorf("--client-secret-file: %w", err))
		}
		defer file.Close()
		line, err := firstLine(file)
		if err != nil {
			return "", failed(fmt.Errorf("--client-secret-file: %s: %w", f.secretFile, err))
		}
		return line, nil
	}
	if secret, ok := c.variable(secretVariable); ok {
		return secret, nil
	}
	server, err := url.Parse(cmp.Or(f.tokenURL, f.issuer))
	if err == nil && f.clientID == devClient && server.Scheme == "http" && client.IsLoopback(server.Hostname()) {
		return devSecret, nil
	}
	return "", errors.New("no login stored for the issuer and no client secret: log in (linegatectl login), or give --client-secret-file or " + secretVariable)
}

// maxFirstLine is more than any secret has, and than any AUTH line that a
// gateway can be told to take.
const maxFirstLine = 1<<20 + 1<<10

// firstLine reads a line, without its end, that must not be empty.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxFirstLine)).ReadString('\n')
	line = strings.TrimRight(line, "\r\n")
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return "", err
	case line == "":
		return "", errors.New("the first line is empty")
	}
	return line, nil
}

// readToken reads a token: the first line of the file that a flag names, without
// white space around it.
func readToken(ctx context.Context, c *console, flag, name string) (string, error) {
	line, err := readLine(ctx, c, flag, name)
	return tokenOf(strings.TrimSpace(line)), err
}

// tokenOf is the token of a line: somebody who pastes an AUTH line means that.
func tokenOf(line string) string { return strings.TrimPrefix(line, wire.AuthPrefix) }

// readLine reads the first line of the file that a flag names; - is standard
// input. Reading that cannot be interrupted, so ctx only ends the wait for it.
func readLine(ctx context.Context, c *console, flag, name string) (string, error) {
	from, r := "standard input", c.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("--%s: %w", flag, err)
		}
		defer file.Close()
		from, r = name, file
	}
	type line struct {
		text string
		err  error
	}
	done := make(chan line, 1)
	go func() {
		text, err := firstLine(r)
		done <- line{text, err}
	}()
	select {
	case l := <-done:
		if l.err != nil {
			return "", fmt.Errorf("%s: %w", from, l.err)
		}
		return l.text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
