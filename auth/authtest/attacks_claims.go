package authtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/linegate/linegate/auth"
)

// Claims of a token whose signature is good. Most such tokens were made for
// something else, or some other time.

// number is a JSON number as it is written.
type number string

func (n number) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// expiries: exp is a number from 0 to 2^53, rounded down, and strict (RFC 7519
// section 4.1.4).
func (a *Attacks) expiries() []row {
	exp := func(value any) string { return a.main.Token(Claim("exp", value)) }
	null := func(name string) string { return a.main.Token(a.payload("{", `"sub":"a","`+name+`":null}`)) }
	now := a.Now.Unix()
	return []row{
		{"in an hour", exp(a.in(time.Hour)), auth.OK, ""},
		{"in 1 s", exp(now + 1), auth.OK, ""},
		{"2^53", exp(1 << 53), auth.OK, ""},
		{"with an exponent", exp(number("9e12")), auth.OK, ""},

		{"now, to the second", exp(now), auth.Expired, "exp"},
		{"in less than 1 s", exp(number(fmt.Sprintf("%d.999999999999999999", now))), auth.Expired, "exp"},
		{"1 s ago", exp(now - 1), auth.Expired, "exp"},
		{"29 s ago, within the leeway of nbf and iat", exp(now - 29), auth.Expired, "exp"},
		{"an hour ago", exp(a.in(-time.Hour)), auth.Expired, "exp"},
		{"0", exp(0), auth.Expired, "exp"},
		{"-0", exp(number("-0")), auth.Expired, "exp"},
		{"missing", exp(nil), auth.Claims, "exp"},
		{"null", null("exp"), auth.Claims, "exp"},
		{"a string", exp(fmt.Sprint(a.in(time.Hour))), auth.Claims, "exp"},
		{"a date", exp("2999-12-31T00:00:00Z"), auth.Claims, "exp"},
		{"true", exp(true), auth.Claims, "exp"},
		{"a list", exp([]int64{a.in(time.Hour)}), auth.Claims, "exp"},
		{"negative", exp(-1), auth.Claims, "exp"},
		{"above 2^53", exp(1<<53 + 1), auth.Claims, "exp"},
		{"2^63", exp(number("9223372036854775808")), auth.Claims, "exp"},
		{"2^64 and more, which overflows", exp(number("18446744073709555216")), auth.Claims, "exp"},
		{"1e400", exp(number("1e400")), auth.Claims, "exp"},
		{"400 digits", exp(number(strings.Repeat("9", 400))), auth.Claims, "exp"},
		{"milliseconds", exp(a.in(time.Hour) * 1000), auth.OK, ""},
		{"NaN", a.main.Token(a.payload("{", `"sub":"a","exp":NaN}`)), auth.Format, ""},
		{"Infinity", a.main.Token(a.payload("{", `"sub":"a","exp":Infinity}`)), auth.Format, ""},
		{"hexadecimal", a.main.Token(a.payload("{", `"sub":"a","exp":0x7fffffff}`)), auth.Format, ""},
	}
}

// beginnings: nbf and iat may be ahead by the leeway, which is 30 s.
func (a *Attacks) beginnings() []row {
	rows := []row{{"neither ahead", a.main.Token(Claim("nbf", a.in(0)), Claim("iat", a.in(0))), auth.OK, ""}}
	for _, name := range []string{"nbf", "iat"} {
		at := func(value any) string { return a.main.Token(Claim(name, value)) }
		leeway := a.in(30 * time.Second)
		rows = append(rows,
			row{name + " 29 s ahead", at(leeway - 1), auth.OK, ""},
			row{name + " 30 s ahead", at(leeway), auth.OK, ""},
			row{name + " 30 s and a fraction ahead", at(number(fmt.Sprintf("%d.999999999999999999", leeway))), auth.OK, ""},
			row{name + " 31 s ahead", at(leeway + 1), auth.NotYetValid, name},
			row{name + " an hour ahead", at(a.in(time.Hour)), auth.NotYetValid, name},
			row{name + " 1e15", at(number("1e15")), auth.NotYetValid, name},
			row{name + " 1e400", at(number("1e400")), auth.Claims, name},
			row{name + " negative", at(-1), auth.Claims, name},
			row{name + " a string", at(fmt.Sprint(a.in(0))), auth.Claims, name},
			row{name + " null", a.main.Token(RawClaims(fmt.Sprintf(`{"iss":%q,"exp":%d,%q:null}`, a.main.URL, a.in(time.Hour), name))), auth.Claims, name},
			row{name + " an object", at(map[string]any{}), auth.Claims, name},
		)
	}
	return rows
}

// issuers: iss is compared byte for byte (RFC 7519 section 4.1.1).
func (a *Attacks) issuers() []row {
	iss := func(value any) string { return a.main.Token(Claim("iss", value)) }
	url := a.main.URL
	scheme, rest, _ := strings.Cut(url, "://")
	return []row{
		{"as configured", iss(url), auth.OK, ""},

		{"missing", iss(nil), auth.Issuer, "iss"},
		{"empty", iss(""), auth.Issuer, "iss"},
		{"a slash more", iss(url + "/"), auth.Issuer, "iss"},
		{"a path more", iss(url + "/evil"), auth.Issuer, "iss"},
		{"a query more", iss(url + "?"), auth.Issuer, "iss"},
		{"a letter less", iss(url[:len(url)-1]), auth.Issuer, "iss"},
		{"in capitals", iss(strings.ToUpper(url)), auth.Issuer, "iss"},
		{"its scheme in capitals", iss(strings.ToUpper(scheme) + "://" + rest), auth.Issuer, "iss"},
		{"without its scheme", iss(rest), auth.Issuer, "iss"},
		{"a space behind", iss(url + " "), auth.Issuer, "iss"},
		{"NUL behind", iss(url + "\x00"), auth.Issuer, "iss"},
		{"in front of another host", iss(url + "@" + a.trap.Addr().String()), auth.Issuer, "iss"},
		{"the configured name", iss(a.main.Name), auth.Issuer, "iss"},
		{"a pattern", iss("*"), auth.Issuer, "iss"},
		{"somewhere else", iss(a.trap.url("")), auth.Issuer, "iss"},
		{"a file", iss("file:///etc/passwd"), auth.Issuer, "iss"},
		{"8 KiB", iss(strings.Repeat("i", 8<<10)), auth.Issuer, "iss"},
		{"a list", iss([]string{url}), auth.Issuer, "iss"},
		{"a number", iss(1), auth.Issuer, "iss"},
		{"another configured issuer", iss(a.twin.URL), auth.Signature, ""},
	}
}

// kinds are what the same issuer makes besides access tokens (RFC 8725 section
// 3.11; RFC 9068 section 2.1).
func (a *Attacks) kinds() []row {
	token := a.main.Token
	typ := func(value any) Change { return Header("typ", value) }
	return []row{
		{"an access token", token(), auth.OK, ""},
		{"its type in full", token(typ("application/at+jwt")), auth.OK, ""},
		{"its type in capitals", token(typ("Application/AT+JWT")), auth.OK, ""},

		{"an ID token", token(typ("JWT"), Claim("aud", Client), Claim("nonce", "n"), Claim("at_hash", "x"), Claim("scope", nil)), auth.Type, "typ"},
		{"an ID token with all that an access token has", token(typ("JWT"), Claim("nonce", "n")), auth.Type, "typ"},
		{"an ID token without typ", token(typ(nil), Claim("nonce", "n")), auth.Type, "typ"},
		{"a logout token", token(typ("logout+jwt"), Claim("events", logoutEvent)), auth.Type, "typ"},
		{"a security event", token(typ("secevent+jwt"), Claim("events", logoutEvent)), auth.Type, "typ"},
		{"a client assertion", token(typ("client-authentication+jwt"), Claim("iss", a.main.URL)), auth.Type, "typ"},
		{"an authorization request", token(typ("oauth-authz-req+jwt")), auth.Type, "typ"},
		{"a DPoP proof", token(typ("dpop+jwt"), Header("jwk", a.stranger.JWK(nil))), auth.Type, "typ"},
		{"an answer of introspection", token(typ("token-introspection+jwt")), auth.Type, "typ"},
		{"a refresh token", token(typ("rt+jwt")), auth.Type, "typ"},
		{"a type of another tree", token(typ("text/at+jwt")), auth.Type, "typ"},
		{"a type that begins so", token(typ("at+jwt+more")), auth.Type, "typ"},
		{"a type with a parameter", token(typ("at+jwt; v=1")), auth.Type, "typ"},
		{"a type with a space", token(typ("at+jwt ")), auth.Type, "typ"},
		{"an empty type", token(typ("")), auth.Type, "typ"},
		{"typ none is not no typ", token(typ("none")), auth.Type, "typ"},
		{"typ is a number", token(typ(1)), auth.Format, "typ"},
		{"typ is a list", token(typ([]string{"at+jwt"})), auth.Format, "typ"},

		{"no client_id", token(Claim("client_id", nil), Claim("azp", "c")), auth.Claims, "client_id"},
		{"no jti", token(Claim("jti", nil), Claim("uti", "u")), auth.Claims, "jti"},
		{"no iat", token(Claim("iat", nil)), auth.Claims, "iat"},
	}
}

var logoutEvent = map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}

// looseKinds are offered where typ does not tell: token_types is JWT and none.
func (a *Attacks) looseKinds() []row {
	jwt := func(changes ...Change) string { return a.loose.Token(append(changes, Header("typ", "JWT"))...) }
	untyped := func(changes ...Change) string { return a.loose.Token(append(changes, Header("typ", nil))...) }
	openID := func(changes ...Change) []Change {
		return append([]Change{Claim("client_id", nil), Claim("jti", nil), Claim("scope", nil), Claim("nonce", "n"), Claim("auth_time", 1)}, changes...)
	}
	events := Claim("events", logoutEvent)
	return []row{
		{"JWT", jwt(), auth.OK, ""},
		{"none", untyped(), auth.OK, ""},
		{"JWT, without what RFC 9068 wants", jwt(Claim("client_id", nil), Claim("iat", nil), Claim("jti", nil)), auth.OK, ""},

		{"at+jwt", a.loose.Token(), auth.Type, "typ"},
		{"typ none is not no typ", a.loose.Token(Header("typ", "none")), auth.Type, "typ"},
		{"an empty type", a.loose.Token(Header("typ", "")), auth.Type, "typ"},
		{"an ID token, for its client", jwt(openID(Claim("aud", Client))...), auth.Audience, "aud"},
		{"an ID token, where the client has the audience's name", jwt(openID()...), auth.Scope, "scope"},
		{"an ID token by its at_hash", jwt(Claim("at_hash", "x")), auth.Type, "at_hash"},
		{"an ID token by its at_hash, untyped", untyped(Claim("at_hash", "x")), auth.Type, "at_hash"},
		{"an ID token by its c_hash", jwt(Claim("c_hash", "x")), auth.Type, "c_hash"},
		{"a logout token, typed", a.loose.Token(Header("typ", "logout+jwt"), events), auth.Type, "typ"},
		{"a logout token by its events", jwt(events), auth.Type, "events"},
		{"a logout token by its events, untyped", untyped(events), auth.Type, "events"},
		{"a security event, typed", a.loose.Token(Header("typ", "secevent+jwt"), events), auth.Type, "typ"},
		{"a security event by its events, untyped", untyped(events), auth.Type, "events"},
		{"events null", untyped(RawClaims(fmt.Sprintf(`{"iss":%q,"exp":%d,"events":null}`, a.loose.URL, a.in(time.Hour)))), auth.Type, "events"},
		{"a DPoP proof", a.loose.Token(Header("typ", "dpop+jwt")), auth.Type, "typ"},
	}
}

// audiences: one of aud is the gateway's, to the byte.
func (a *Attacks) audiences() []row {
	aud := func(value any) string { return a.main.Token(Claim("aud", value)) }
	return []row{
		{"the gateway", aud(Audience), auth.OK, ""},
		{"among others", aud([]string{"https://api.test", Audience}), auth.OK, ""},

		{"missing", aud(nil), auth.Audience, "aud"},
		{"somebody else", aud("https://api.test"), auth.Audience, "aud"},
		{"a part of its name", aud(Audience[:4]), auth.Audience, "aud"},
		{"its name and more", aud(Audience + "-test"), auth.Audience, "aud"},
		{"more and its name", aud("not-" + Audience), auth.Audience, "aud"},
		{"in capitals", aud(strings.ToUpper(Audience)), auth.Audience, "aud"},
		{"a space behind", aud(Audience + " "), auth.Audience, "aud"},
		{"a list in a string", aud("other " + Audience), auth.Audience, "aud"},
		{"JSON in a string", aud(`["` + Audience + `"]`), auth.Audience, "aud"},
		{"a pattern", aud("*"), auth.Audience, "aud"},
		{"empty", aud(""), auth.Audience, "aud"},
		{"an empty list", aud([]string{}), auth.Audience, "aud"},
		{"a list of nothing", aud([]string{""}), auth.Audience, "aud"},
		{"a list of parts of its name", aud([]string{"line", "gate"}), auth.Audience, "aud"},
		{"a list in a list", aud([]any{[]string{Audience}}), auth.Claims, "aud"},
		{"a list with a number", aud([]any{Audience, 1}), auth.Claims, "aud"},
		{"a list with null", aud([]any{Audience, nil}), auth.Claims, "aud"},
		{"an object", aud(map[string]any{Audience: true}), auth.Claims, "aud"},
		{"true", aud(true), auth.Claims, "aud"},
		{"null", a.main.Token(RawClaims(fmt.Sprintf(`{"iss":%q,"aud":null,"exp":%d,"iat":1,"client_id":"c","jti":"j"}`, a.main.URL, a.in(time.Hour)))), auth.Claims, "aud"},
		{"client_id in its place", a.main.Token(Claim("aud", nil), Claim("client_id", Audience)), auth.Audience, "aud"},
		{"azp in its place", a.main.Token(Claim("aud", nil), Claim("azp", Audience)), auth.Audience, "aud"},
	}
}

// names are bounded, and say the same to everybody who reads them.
func (a *Attacks) names() []row {
	token := a.main.Token
	sub := func(escaped string) string { return token(a.payload("{", `"exp":EXP,"sub":"`+escaped+`"}`)) }
	longest, long := strings.Repeat("x", 256), strings.Repeat("x", 257)
	return []row{
		{"sub of 256 bytes", token(Sub(longest)), auth.OK, ""},
		{"sub with a surrogate pair", sub(`\ud83d\ude00`), auth.OK, ""},
		{"sub with an escaped backslash before u", sub(`\\ud800`), auth.OK, ""},
		{"sub with a reply in it", token(Sub("a\nOK AUTH v=1 sub=root")), auth.OK, ""},
		{"sub with the escapes of a terminal", token(Sub("a\x1b[2J\x00")), auth.OK, ""},

		{"no sub", token(Claim("sub", nil)), auth.Claims, "sub"},
		{"empty sub", token(Sub("")), auth.Claims, "sub"},
		{"sub is a number", token(Claim("sub", 7)), auth.Claims, "sub"},
		{"sub is a list", token(Claim("sub", []string{"a"})), auth.Claims, "sub"},
		{"sub of 257 bytes", token(Sub(long)), auth.Claims, "sub"},
		{"sub with half a surrogate pair", sub(`\ud800`), auth.Claims, "sub"},
		{"sub with the halves exchanged", sub(`\udc00\ud800`), auth.Claims, "sub"},
		{"client_id of 257 bytes", token(Claim("client_id", long)), auth.Claims, "client_id"},
		{"client_id empty", token(Claim("client_id", "")), auth.Claims, "client_id"},
		{"jti of 257 bytes", token(Claim("jti", long)), auth.Claims, "jti"},
		{"jti is a number", token(Claim("jti", 7)), auth.Claims, "jti"},
	}
}

// scopes: each required one is there as a word (RFC 6749 section 3.3).
func (a *Attacks) scopes() []row {
	token := a.main.Token
	scope := func(value any) string { return token(Claim("scope", value)) }
	scp := func(value any) string { return token(Claim("scope", nil), Claim("scp", value)) }
	return []row{
		{"the one alone", scope(Scope), auth.OK, ""},
		{"among others", scope("openid " + Scope + " email"), auth.OK, ""},
		{"a list in scp", scp([]string{Scope}), auth.OK, ""},
		{"256 of them", scope(Scope + strings.Repeat(" s", 255)), auth.OK, ""},

		{"none", scope(nil), auth.Scope, "scope"},
		{"empty", scope(""), auth.Scope, "scope"},
		{"another", scope("openid"), auth.Scope, "scope"},
		{"a part of it", scope("line connect"), auth.Scope, "scope"},
		{"parts of others", scope(Scope + "ed x" + Scope), auth.Scope, "scope"},
		{"in capitals", scope(strings.ToUpper(Scope)), auth.Scope, "scope"},
		{"a pattern", scope("line:* *"), auth.Scope, "scope"},
		{"apart by a tab", scope("openid\t" + Scope), auth.Scope, "scope"},
		{"apart by a comma", scope("openid," + Scope), auth.Scope, "scope"},
		{"in roles", token(Claim("scope", nil), Claim("roles", []string{Scope})), auth.Scope, "scope"},
		{"a number", scope(1), auth.Claims, "scope"},
		{"an object", scope(map[string]any{Scope: true}), auth.Claims, "scope"},
		{"a list with a space within", scp([]string{"openid " + Scope}), auth.Claims, "scp"},
		{"a list with a list", scp([]any{[]string{Scope}}), auth.Claims, "scp"},
		{"257 of them", scope(Scope + strings.Repeat(" s", 256)), auth.Claims, "scope"},
		{"257 in two claims", token(Claim("scope", Scope+strings.Repeat("  s", 128)), Claim("scp", strings.Split(strings.Repeat("s", 128), ""))), auth.Claims, "scp"},
	}
}
