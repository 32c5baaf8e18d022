package config

import (
	"fmt"
	"slices"
	"strings"
)

// validateAdmin comes after the issuers, whose names it needs.
func (c *Config) validateAdmin(warn func(key, text string)) error {
	a := &c.Admin
	return first(
		c.validateAdminAddress,
		c.validateAdminTLS,
		func() error { return c.validateAdminIssuers(warn) },
		func() error {
			if n := slices.Index(a.Audience, ""); n >= 0 {
				return c.refuse(element("admin.audience", n), "is empty")
			}
			return nil
		},
		func() error {
			if len(a.Scopes) == 0 {
				return c.refuse("admin.scopes", "the list is empty: the devices' own tokens would do")
			}
			return c.checkScopes("admin.scopes", a.Scopes)
		},
		func() error {
			c.compareAdminScopes(warn)
			return nil
		},
	)
}

// validateAdminAddress refuses an API in clear that others could reach: the
// token of an operator is worth more than that of any device.
func (c *Config) validateAdminAddress() error {
	a := &c.Admin
	if a.Address == "" {
		return nil
	}
	if err := checkAddress(a.Address); err != nil {
		return c.refuse("admin.address", "%w", err)
	}
	if a.TLS.Cert == "" && !maybeLoopback(a.Address) {
		return c.refuse("admin.address", "%w", errAdminInClear)
	}
	return nil
}

func (c *Config) validateAdminTLS() error {
	switch t := c.Admin.TLS; {
	case t.Cert == "" && t.Key != "":
		return c.refuse("admin.tls.key", "needs admin.tls.cert beside it")
	case t.Cert != "" && t.Key == "":
		return c.refuse("admin.tls.cert", "needs admin.tls.key beside it")
	case t.Cert == "" && t.ClientCA != "":
		return c.refuse("admin.tls.client_ca", "needs admin.tls.cert and admin.tls.key beside it")
	}
	return nil
}

func (c *Config) validateAdminIssuers(warn func(key, text string)) error {
	a := &c.Admin
	names := unique{}
	for n, name := range a.Issuers {
		at := element("admin.issuers", n)
		if !slices.ContainsFunc(c.Issuers, func(i Issuer) bool { return i.Name == name }) {
			return c.refuse(at, "no issuer is named %.64q; there are: %s", name, strings.Join(c.issuerNames(), ", "))
		}
		if err := names.add(c, at, name); err != nil {
			return err
		}
	}
	if a.Address != "" && len(a.Issuers) == 0 {
		warn("admin.issuers", "no issuer may grant access to the admin API, so nobody gets in")
	}
	return nil
}

// compareAdminScopes warns of scopes that do not tell operators from devices:
// those that every device of an issuer must have anyway. An audience that no
// device needs tells them apart as well.
func (c *Config) compareAdminScopes(warn func(key, text string)) {
	a := &c.Admin
	for n, i := range c.Issuers {
		if a.Address == "" || !slices.Contains(a.Issuers, i.Name) {
			continue
		}
		more := slices.ContainsFunc(a.Scopes, func(s string) bool { return !slices.Contains(i.RequiredScopes, s) })
		shared := slices.ContainsFunc(a.Audience, func(s string) bool { return slices.Contains(i.Audience, s) })
		if !more && (shared || len(a.Audience) == 0) {
			warn("admin.scopes", fmt.Sprintf("%s asks for all of these, too, so every device of %s may use the admin API",
				child(element("issuers", n), "required_scopes"), i.Name))
		}
	}
}

func (c *Config) issuerNames() []string {
	var names []string
	for _, i := range c.Issuers {
		names = append(names, i.Name)
	}
	return names
}
