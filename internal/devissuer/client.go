package devissuer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Client is a registered client (RFC 6749 section 2).
type Client struct {
	ID        string
	Name      string   // what people are shown; the ID when empty
	Secret    string   // empty: a public client, which cannot keep one (RFC 6749 section 2.1)
	Grants    []string // grant types that it may use; client_credentials alone when empty
	Scopes    []string // what it may ask for, and gets when it asks for nothing in particular
	OnRequest []string // scopes that it may ask for besides, and gets only by their names
	Redirects []string // where answers to it may be sent, see checkRedirect
}

// Grant types, as the token endpoint and a client's registration name them. A
// client that has GrantRefresh gets a refresh token with what a person granted.
const (
	GrantClientCredentials = "client_credentials"                           // RFC 6749 section 4.4
	GrantCode              = "authorization_code"                           // RFC 6749 section 4.1
	GrantRefresh           = "refresh_token"                                // RFC 6749 section 6
	GrantDevice            = "urn:ietf:params:oauth:grant-type:device_code" // RFC 8628 section 3.4
)

// DefaultClients returns the clients that are there without configuration: a
// robot that may connect, and the project's own command line, which people use
// in their own name. Either may administer when it says so. Ids and secret are
// public knowledge.
func DefaultClients() []Client {
	return []Client{
		{
			ID: "dev-device", Name: "Development device", Secret: "dev-secret",
			Scopes: []string{"line:connect"}, OnRequest: []string{"linegate:admin"},
		},
		{
			ID:        "linegatectl",
			Grants:    []string{GrantCode, GrantRefresh, GrantDevice},
			Scopes:    []string{"line:connect", "offline_access"},
			OnRequest: []string{"linegate:admin"},
			Redirects: []string{"http://127.0.0.1/callback", "http://[::1]/callback"},
		},
	}
}

func (c Client) public() bool { return c.Secret == "" }

// DisplayName is what people are shown.
func (c Client) DisplayName() string { return cmp.Or(c.Name, c.ID) }

func (c Client) may(grant string) bool {
	if len(c.Grants) == 0 {
		return grant == GrantClientCredentials
	}
	return slices.Contains(c.Grants, grant)
}

func (c Client) check() error {
	for _, grant := range c.Grants {
		if !slices.Contains(grantTypes(), grant) {
			return fmt.Errorf("grant type %q is none of %q", grant, grantTypes())
		}
	}
	switch {
	case c.ID == "":
		return errors.New("no ID")
	case strings.ContainsFunc(c.ID, func(r rune) bool { return r < ' ' || r > '~' }):
		return errors.New("the ID has other characters than RFC 6749 appendix A.1 allows")
	case c.public() && c.may(GrantClientCredentials):
		return errors.New("no Secret, which client_credentials needs")
	case len(c.Redirects) == 0 && c.may(GrantCode):
		return errors.New("no Redirects, which authorization_code needs")
	case len(c.Redirects) > 0 && !c.may(GrantCode):
		return errors.New("redirects without authorization_code")
	case c.may(GrantRefresh) && !c.may(GrantCode) && !c.may(GrantDevice):
		return errors.New("refresh_token without a grant that gives one")
	case len(c.Scopes) == 0:
		return errors.New("no Scopes")
	case slices.ContainsFunc(c.Scopes, isNoScopeToken) || slices.ContainsFunc(c.OnRequest, isNoScopeToken):
		return errors.New("a scope has other characters than RFC 6749 section 3.3 allows")
	}
	for _, registered := range c.Redirects {
		if err := checkRedirect(registered); err != nil {
			return fmt.Errorf("redirect %q: %w", registered, err)
		}
	}
	return nil
}
