package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

const (
	defaultAdmin = "http://127.0.0.1:9886"
	adminScope   = "linegate:admin"
)

// adminFlags say where the admin API is, and whose token opens it. --issuer and
// --client-id are about sessions here, so those of the login have longer names.
type adminFlags struct {
	url, caFile              string
	cert                     certFlags
	tokenFile                string
	loginIssuer, loginClient string
	store                    string
}

func (f *adminFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "admin-url", defaultAdmin, "`URL` of the gateway's admin API; http on loopback only")
	flags.StringVar(&f.caFile, "ca-file", "", "PEM `file` of the certificate authorities to trust instead of the system's")
	f.cert.add(cmd, "the admin API", "")
	flags.StringVar(&f.tokenFile, "admin-token-file", "", "`file` whose first line is the operator's token, instead of a stored login; - is standard input")
	flags.StringVar(&f.loginIssuer, "login-issuer", devIssuer, "`URL` of the issuer of the operator's login")
	flags.StringVar(&f.loginClient, "login-client-id", "", "client `ID` of the operator's login (default: the only one there is)")
	addStoreFlag(cmd, &f.store)
}

const adminHelp = `The gateway's configuration has to turn its admin API on (admin.address). The
token for it is that of a stored login with the scope ` + adminScope + `
(linegatectl login --admin), renewed as it has to be, or the first line of
--admin-token-file. A robot pipes its own:

  linegatectl token --client-credentials --scope ` + adminScope + ` |
      linegatectl sessions --admin-token-file -

Exit status: 0 when all is done, 1 when something is not, 64 for wrong usage.`

// client returns the admin API as the flags describe it.
func (f *adminFlags) client(cmd *cobra.Command, c *console) (*adminClient, error) {
	base, err := f.base()
	if err != nil {
		return nil, err
	}
	config, err := f.tlsConfig(base)
	if err != nil {
		return nil, err
	}
	operator, err := f.operator(cmd, c)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	return &adminClient{base: base, operator: operator, cert: f.cert, http: &http.Client{
		Transport: transport,
		Timeout:   adminTimeout,
		// The token is for this address and no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (f *adminFlags) base() (*url.URL, error) {
	base, err := url.Parse(f.url)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("--admin-url: want http://host:port or https://host:port")
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("--admin-url: want no user, query or fragment in it")
	case base.Scheme == "http" && !client.IsLoopback(base.Hostname()):
		return nil, fmt.Errorf("--admin-url: http is for loopback only, the token would cross the network to %s readable", brief(base.Host, true))
	}
	return base, nil
}

func (f *adminFlags) tlsConfig(base *url.URL) (*tls.Config, error) {
	if base.Scheme == "http" {
		for name, file := range map[string]string{"ca-file": f.caFile, "client-cert": f.cert.certFile, "client-key": f.cert.keyFile} {
			if file != "" {
				return nil, fmt.Errorf("--%s: only with an --admin-url of https", name)
			}
		}
		return nil, nil
	}
	shown, err := f.cert.certificates()
	if err != nil {
		return nil, err
	}
	roots, err := authorities(f.caFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: roots, Certificates: shown, MinVersion: tls.VersionTLS12}, nil
}

// operator is who uses the admin API.
type operator struct {
	client.TokenSource
	login *login // nil: the token is from a file
	store *tokenStore
}

// advice says how to get another token, one with this scope.
func (o operator) advice(scope string) string {
	if o.login == nil {
		return "give another token with --admin-token-file"
	}
	command := o.store.loginCommand(o.login.Issuer, o.login.ClientID, scope == adminScope)
	if scope != adminScope {
		command += " --scope ..."
	}
	return "log in again: " + command
}

func (f *adminFlags) operator(cmd *cobra.Command, c *console) (operator, error) {
	if f.tokenFile != "" {
		for _, name := range []string{"login-issuer", "login-client-id", "token-store"} {
			if cmd.Flags().Changed(name) {
				return operator{}, fmt.Errorf("--%s: not beside --admin-token-file", name)
			}
		}
		token, err := readToken(cmd.Context(), c, "admin-token-file", f.tokenFile)
		if kind, _ := wire.Request([]byte(wire.AuthPrefix + token)); err == nil && kind != wire.Auth {
			err = errors.New("--admin-token-file: the first line is no token")
		}
		if err != nil {
			return operator{}, failed(interrupted(cmd.Context(), err))
		}
		return operator{TokenSource: client.FixedToken(token)}, nil
	}
	store, err := openStore(c, f.store)
	if err != nil {
		return operator{}, err
	}
	stored, err := store.find(f.loginIssuer, f.loginClient)
	if err != nil {
		return operator{}, whichLogin("login-client-id", err)
	}
	if stored == nil {
		return operator{}, failed(fmt.Errorf("no login stored for %s: log in (%s), or give --admin-token-file",
			f.loginIssuer, store.loginCommand(f.loginIssuer, cmp.Or(f.loginClient, loginClient), true)))
	}
	source := &loginSource{store: store, issuer: stored.Issuer, clientID: stored.ClientID, admin: true, transport: c.transport}
	return operator{source, stored, store}, nil
}
