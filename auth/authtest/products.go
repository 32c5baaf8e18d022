package authtest

import (
	"strings"
	"testing"
	"time"
)

// Product is a widespread authorization server: its identifier, keys and
// tokens have the shape that its documentation describes.
type Product struct {
	*Issuer
	Access []Sample // to be accepted under its documented configuration
	Others []Sample // to be refused
}

// Sample is a token of a product.
type Sample struct{ Name, Token string }

// Identifiers that the products' samples and the documented configurations
// share.
const (
	Tenant  = "11111111-2222-3333-4444-555555555555" // Entra ID
	API     = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee" // Entra ID: the API's application id
	App     = "99999999-8888-7777-6666-555555555555" // the device's client id
	person  = "00000000-0000-0000-0000-000000000007"
	opaque  = "1.AXoAopaque-and-not-for-us"
	fiveJWE = "eyJhbGciOiJSU0EtT0FFUCJ9.a2V5.aXY.Y2lwaGVydGV4dA.dGFn" // header, key, IV, ciphertext, tag
)

// Products returns one of each that the documentation names.
func Products(t testing.TB) []*Product {
	t.Helper()
	return []*Product{EntraV2(t), EntraV1(t), Auth0(t), Auth0RFC9068(t), Keycloak(t), Cognito(t)}
}

// EntraV2 is Microsoft Entra ID with version 2.0 tokens. An ID token for the
// API's own application has the same aud as an access token for it.
func EntraV2(t testing.TB) *Product {
	p := newProduct(t, "entra-v2", "https://login.microsoftonline.com/"+Tenant+"/v2.0")
	p.publishWithoutAlg()
	common := changes{typ: "JWT", claims: map[string]any{
		"iss": p.URL, "aud": API, "sub": "pairwise-7", "oid": person, "tid": Tenant,
		"ver": "2.0", "uti": "uti-1", "rh": "0.AX", "aio": "opaque",
	}}
	access := map[string]any{"azp": App, "azpacr": "1"}
	p.access("for a person", common.with(access, map[string]any{"scp": "openid line.connect"}))
	p.access("for an application", common.with(access, map[string]any{"sub": person, "roles": []string{"line.connect"}, "idtyp": "app"}))
	p.other("ID token", common.with(map[string]any{"nonce": "n", "name": "A Person"}))
	p.other("ID token with an app role", common.with(map[string]any{"roles": []string{"line.connect"}}))
	p.other("ID token with a hash", common.with(access, map[string]any{"scp": "line.connect", "at_hash": "x"}))
	p.other("another tenant", common.with(access, map[string]any{"scp": "line.connect", "iss": strings.Replace(p.URL, Tenant, API, 1)}))
	p.other("version 1.0", common.with(map[string]any{"appid": App, "appidacr": "1", "ver": "1.0", "scp": "line.connect"}))
	p.text("refresh token", opaque)
	return p
}

// EntraV1 is Microsoft Entra ID with version 1.0 tokens.
func EntraV1(t testing.TB) *Product {
	p := newProduct(t, "entra-v1", "https://sts.windows.net/"+Tenant+"/")
	p.publishWithoutAlg()
	common := changes{typ: "JWT", header: map[string]any{"x5t": p.SigningKey().ID}, claims: map[string]any{
		"iss": p.URL, "aud": "api://" + API, "sub": "pairwise-7", "oid": person, "tid": Tenant,
		"ver": "1.0", "uti": "uti-1", "unique_name": "a@example.com",
	}}
	access := map[string]any{"appid": App, "appidacr": "1"}
	p.access("for a person", common.with(access, map[string]any{"scp": "line.connect"}))
	p.access("for an application", common.with(access, map[string]any{"sub": person, "roles": []string{"line.connect"}}))
	p.other("ID token", common.with(map[string]any{"aud": App, "nonce": "n"}))
	p.other("ID token with the API's aud and an app role", common.with(map[string]any{"roles": []string{"line.connect"}}))
	p.other("token for another API", common.with(access, map[string]any{"aud": "https://graph.example.com", "scp": "line.connect"}))
	p.text("refresh token", opaque)
	return p
}

// Auth0 is Auth0 with its default token profile: an API's audience beside that
// of its own userinfo endpoint.
func Auth0(t testing.TB) *Product {
	p := newProduct(t, "auth0", "https://example.eu.auth0.com/")
	p.publish(p.SigningKey().JWK(map[string]any{"x5t": "thumbprint"}))
	common := changes{typ: "JWT", claims: map[string]any{"iss": p.URL, "sub": "auth0|7"}}
	both := []string{"https://linegate.example.com", p.URL + "userinfo"}
	p.access("for a person", common.with(map[string]any{"aud": both, "azp": App, "scope": "openid line:connect"}))
	p.access("for a machine", common.with(map[string]any{
		"aud": both[0], "azp": App, "scope": "line:connect", "sub": App + "@clients", "gty": "client-credentials",
	}))
	p.other("ID token", common.with(map[string]any{"aud": App, "nonce": "n", "sid": "s"}))
	p.other("ID token with a custom scope claim", common.with(map[string]any{"aud": App, "scope": "line:connect"}))
	p.other("token for userinfo alone", common.with(map[string]any{"aud": both[1:], "azp": App, "scope": "line:connect"}))
	p.other("token of an application not listed", common.with(map[string]any{"aud": both, "azp": "other", "scope": "line:connect"}))
	p.text("refresh token", "v1.opaque-and-not-for-us")
	return p
}

// Auth0RFC9068 is Auth0 with the RFC 9068 token profile.
func Auth0RFC9068(t testing.TB) *Product {
	p := newProduct(t, "auth0-rfc9068", "https://example.us.auth0.com/")
	common := changes{typ: "at+jwt", claims: map[string]any{
		"iss": p.URL, "sub": "auth0|7", "client_id": App, "jti": "jti-1", "scope": "openid line:connect",
		"aud": []string{"https://linegate.example.com", p.URL + "userinfo"},
	}}
	idToken := changes{typ: "JWT", claims: map[string]any{"iss": p.URL, "sub": "auth0|7", "aud": App, "nonce": "n"}}
	p.access("for a person", common)
	p.access("for a machine", common.with(map[string]any{"aud": "https://linegate.example.com", "sub": App + "@clients"}))
	p.other("ID token", idToken)
	p.other("token of the default profile", changes{typ: "JWT", claims: common.claims})
	p.text("refresh token", "v1.opaque-and-not-for-us")
	return p
}

// Keycloak publishes an encryption key beside the signing key and sends
// no-cache with both. Its refresh tokens are JWTs too.
func Keycloak(t testing.TB) *Product {
	p := newProduct(t, "keycloak", "https://keycloak.example.com/realms/devices")
	p.PublishJWK(p.NewKey().JWK(map[string]any{"use": "enc", "alg": "RSA-OAEP"}))
	p.CacheControl("no-cache")
	common := changes{typ: "JWT", claims: map[string]any{
		"iss": p.URL, "sub": person, "azp": "sensors", "sid": "s", "jti": "trrtcc:1", "acr": "1",
	}}
	access := map[string]any{"typ": "Bearer", "aud": []string{"linegate", "account"}, "scope": "profile line:connect"}
	p.access("for a person", common.with(access))
	p.access("for a service account", common.with(access, map[string]any{"aud": "linegate", "sid": nil}))
	p.other("without an audience mapper", common.with(access, map[string]any{"aud": "account"}))
	p.other("ID token", common.with(map[string]any{"typ": "ID", "aud": "sensors", "at_hash": "x"}))
	p.other("ID token of a client named as the audience", common.with(map[string]any{"typ": "ID", "aud": "linegate", "scope": "line:connect"}))
	p.other("refresh token", common.with(map[string]any{"typ": "Refresh", "aud": p.URL, "scope": "line:connect"}))
	p.other("refresh token with the audience mapped", common.with(access, map[string]any{"typ": "Refresh"}))
	p.other("logout token", common.with(access, map[string]any{"typ": "Logout", "events": map[string]any{}}))
	p.other("token bound by DPoP", common.with(access, map[string]any{"typ": "DPoP", "cnf": map[string]any{"jkt": "x"}}))
	hmac := p.token(common.with(access, map[string]any{"typ": "Refresh"}), Header("alg", "HS512"), Header("kid", "hmac"))
	p.text("refresh token as signed, with a secret", hmac)
	return p
}

// Cognito is AWS Cognito: no typ, and an access token has client_id in place of
// aud.
func Cognito(t testing.TB) *Product {
	p := newProduct(t, "cognito", "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example")
	common := changes{claims: map[string]any{
		"iss": p.URL, "sub": person, "auth_time": 1, "jti": "jti-1", "origin_jti": "jti-0", "event_id": "e",
	}}
	access := map[string]any{
		"token_use": "access", "client_id": "1example23456789", "scope": "openid linegate/line.connect", "version": 2,
	}
	p.access("for a person", common.with(access, map[string]any{"username": "a"}))
	p.access("for a machine", common.with(access, map[string]any{"sub": "1example23456789", "scope": "linegate/line.connect"}))
	p.other("ID token", common.with(map[string]any{"token_use": "id", "aud": "1example23456789", "at_hash": "x"}))
	p.other("ID token without at_hash", common.with(map[string]any{"token_use": "id", "aud": "1example23456789"}))
	p.other("ID token with claims added to it", common.with(access, map[string]any{"token_use": "id"}))
	p.other("another app client", common.with(access, map[string]any{"client_id": "other"}))
	p.other("user pool API, without scopes of one's own", common.with(access, map[string]any{"scope": "aws.cognito.signin.user.admin"}))
	p.text("refresh token", fiveJWE)
	return p
}

// changes is a token's typ (empty: none), header and claims.
type changes struct {
	typ            string
	header, claims map[string]any
}

// with adds claims; nil ones remove.
func (c changes) with(more ...map[string]any) changes {
	claims := map[string]any{}
	for _, part := range append([]map[string]any{c.claims}, more...) {
		for name, value := range part {
			claims[name] = value
		}
	}
	c.claims = claims
	return c
}

func newProduct(t testing.TB, name, url string) *Product {
	t.Helper()
	return &Product{Issuer: New(t, Named(name), At(url), Signing("RS256"))}
}

func (p *Product) access(name string, c changes) {
	p.Access = append(p.Access, Sample{name, p.token(c)})
}

func (p *Product) other(name string, c changes) {
	p.Others = append(p.Others, Sample{name, p.token(c)})
}

func (p *Product) text(name, token string) {
	p.Others = append(p.Others, Sample{name, token})
}

func (p *Product) token(c changes, more ...Change) string {
	p.t.Helper()
	now := time.Now()
	list := []Change{OnlyClaims(), Header("typ", nil), Claim("iat", now.Unix()), Claim("exp", now.Add(Lifetime).Unix())}
	if c.typ != "" {
		list = append(list, Header("typ", c.typ))
	}
	for name, value := range c.header {
		list = append(list, Header(name, value))
	}
	for name, value := range c.claims {
		list = append(list, Claim(name, value))
	}
	return p.Token(append(list, more...)...)
}

// publishWithoutAlg publishes the key as Entra ID does, which leaves alg out.
func (p *Product) publishWithoutAlg() {
	key := p.SigningKey()
	p.publish(key.JWK(map[string]any{"alg": nil, "x5t": key.ID, "issuer": p.URL}))
}

// publish puts a JWK in place of the signing key's own.
func (p *Product) publish(jwk map[string]any) {
	p.Remove(p.SigningKey().ID)
	p.PublishJWK(jwk)
}
