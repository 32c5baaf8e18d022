package admin

import (
	"cmp"

	"github.com/linegate/linegate/auth"
)

// issuerNames are the configured names of issuers by their identifiers (iss). A
// reload may give an issuer another name while its sessions and revocations
// live, so they are looked up when they are told.
type issuerNames map[string]string

func (a *API) issuerNames() issuerNames {
	names := issuerNames{}
	for name, iss := range a.Issuers() {
		names[iss] = name
	}
	return names
}

// of names an identity's issuer; one that is configured no more by the name
// that it had.
func (n issuerNames) of(identity *auth.Identity) string {
	return cmp.Or(n[identity.Issuer], identity.IssuerName)
}

// called names an issuer; one that is configured no more as it calls itself.
func (n issuerNames) called(iss string) string { return cmp.Or(n[iss], iss) }
