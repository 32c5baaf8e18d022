package auth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/mint"
)

// The names that tests use all the time.
var (
	claim  = authtest.Claim
	header = authtest.Header
)

// outcomeOf is how verifying a token ended, with the claim at fault: "expired
// exp", or "ok".
func outcomeOf(t *testing.T, v *auth.Verifier, token string) string {
	t.Helper()
	identity, err := v.Verify(t.Context(), token, auth.Proof{})
	if err == nil {
		if identity == nil {
			t.Fatal("neither an identity nor an error")
		}
		return "ok"
	}
	refusal, ok := errors.AsType[*auth.Error](err)
	if !ok {
		t.Fatalf("not an *auth.Error: %v", err)
	}
	checkSecrecy(t, err.Error(), token)
	return strings.TrimSpace(refusal.Outcome.String() + " " + refusal.Claim)
}

// checkSecrecy fails when text holds 16 or more consecutive bytes of the
// token's payload or signature.
func checkSecrecy(t *testing.T, text, token string) {
	t.Helper()
	_, secret, _ := strings.Cut(token, ".")
	for i := 0; i+16 <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+16]) {
			t.Fatalf("a part of the token in %q", text)
		}
	}
}

func TestVerifyIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := authtest.New(t)
		token := iss.Token(claim("scope", "b line:connect  a b"), claim("scp", []string{"c", "a"}), claim("jti", "t-1"))
		got, err := iss.Verifier().Verify(t.Context(), token, auth.Proof{})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		want := auth.Identity{
			IssuerName: "test", Issuer: "https://issuer.test", Subject: "device-1", ClientID: "device-client",
			Scopes: []string{"a", "b", "c", "line:connect"}, TokenID: "t-1", KeyID: "test-1",
			IssuedAt: now, Expires: now.Add(time.Hour), MaxLifetime: 24 * time.Hour,
			Thumbprint: thumbprint(t, iss.SigningKey()),
			Digest:     sha256.Sum256([]byte(token)),
		}
		if !got.IssuedAt.Equal(want.IssuedAt) || !got.Expires.Equal(want.Expires) {
			t.Errorf("issued at %v, expires %v", got.IssuedAt, got.Expires)
		}
		got.IssuedAt, got.Expires = want.IssuedAt, want.Expires
		if fmt.Sprint(*got) != fmt.Sprint(want) {
			t.Errorf("got  %+v\nwant %+v", *got, want)
		}
	})
}

// thumbprint is RFC 7638 section 3 for an EC key: a digest of the required
// members alone, in this order and spelling.
func thumbprint(t *testing.T, key *mint.Key) string {
	t.Helper()
	jwk := key.JWK(nil)
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":%q,"kty":"EC","x":%q,"y":%q}`, jwk["crv"], jwk["x"], jwk["y"]))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Every way in which a token can be wrong, in the order of checks.
func TestVerifyOutcomes(t *testing.T) {
	iss := authtest.New(t)
	other := authtest.New(t, authtest.Named("other")) // not configured
	stranger := iss.NewKey()                          // never published
	rsaKey := newKey(t, "RS256", "rsa")
	iss.PublishJWK(rsaKey.JWK(nil))
	v := iss.Verifier()

	long := strings.Repeat("x", 257)
	fits := strings.Repeat("x", 256)
	plain := func(payload string) authtest.Change {
		payload = strings.ReplaceAll(payload, "EXP", fmt.Sprint(time.Now().Add(time.Hour).Unix()))
		return authtest.RawClaims(payload)
	}
	const rest = `"iss":"https://issuer.test","aud":"linegate","client_id":"c","jti":"j","iat":1,"scope":"line:connect"`

	tests := []struct {
		name  string
		token string
		want  string
	}{
		{"valid", iss.Token(), "ok"},

		// Bytes and structure.
		{"empty", "", "format"},
		{"one part", "abc", "format"},
		{"two parts", "e30.e30", "format"},
		{"four parts", iss.Token() + ".e30", "format"},
		{"five parts, as a JWE has", "e30.e30.e30.e30.e30", "format"},
		{"dots alone", "..", "format"},
		{"no header", iss.Token(edit(func(p []string) { p[0] = "" })), "format"},
		{"no payload", iss.Token(edit(func(p []string) { p[1] = "" })), "format"},
		{"no signature", iss.Token(edit(func(p []string) { p[2] = "" })), "signature"},
		{"alg none as RFC 7519 has it", iss.Unsigned(), "algorithm alg"},
		{"padding", iss.Token(edit(func(p []string) { p[1] += "=" })), "format"},
		{"LF, which encoding/base64 skips", iss.Token(edit(func(p []string) { p[1] = p[1][:8] + "\n" + p[1][8:] })), "format"},
		{"CR, which encoding/base64 skips", iss.Token(edit(func(p []string) { p[2] += "\r" })), "format"},
		{"space", iss.Token() + " ", "format"},
		{"NUL", iss.Token() + "\x00", "format"},
		{"plus of the other base64", "e30+.e30.e30", "format"},
		{"header of an impossible length", iss.Token(edit(func(p []string) { p[0] = "e30aa" })), "format"},
		{"signature with bits behind the end", iss.Token(edit(func(p []string) { p[2] = looseBits(p[2]) })), "format"},
		{"header is no JSON", iss.Token(authtest.RawHeader(`{`)), "format"},
		{"header is an array", iss.Token(authtest.RawHeader(`["alg"]`)), "format"},
		{"header is null", iss.Token(authtest.RawHeader(`null`)), "format"},
		{"header with something behind", iss.Token(authtest.RawHeader(`{"alg":"ES256"}{}`)), "format"},
		{"header names alg twice", iss.Token(authtest.RawHeader(`{"alg":"ES256","kid":"test-1","typ":"at+jwt","alg":"ES256"}`)), "format"},
		{"payload is a string", iss.Token(authtest.RawClaims(`"hello"`)), "format"},
		{"payload is a JWT (nested)", iss.Token(authtest.RawClaims(`e30.e30.e30`)), "format"},
		{"payload has a byte order mark", iss.Token(authtest.RawClaims("\ufeff{}")), "format"},
		{"payload is not UTF-8", iss.Token(authtest.RawClaims("{\"sub\":\"\xff\"}")), "format"},
		{"payload names a claim twice", iss.Token(plain(`{` + rest + `,"exp":EXP,"sub":"a","sub":"b"}`)), "format"},
		{"the same name, spelled with an escape", iss.Token(plain(`{` + rest + `,"exp":EXP,"sub":"a","su\u0062":"b"}`)), "format"},
		{"payload has a trailing comma", iss.Token(plain(`{` + rest + `,"exp":EXP,"sub":"a",}`)), "format"},
		{"white space around everything", iss.Token(plain(" {\n" + rest + "\t,\r\"exp\" : EXP , \"sub\":\"a\" , \"x\" : [ { } , [ ] ]\n} ")), "ok"},
		{"an escaped name counts as what it says", iss.Token(plain(`{` + rest + `,"exp":EXP,"su\u0062":"a"}`)), "ok"},

		// Header.
		{"no alg", iss.Token(header("alg", nil)), "format alg"},
		{"alg is a number", iss.Token(header("alg", 256)), "format alg"},
		{"alg in capitals of its own", iss.Token(header("alg", "es256")), "algorithm alg"},
		{"alg none with a signature", iss.Token(header("alg", "none")), "algorithm alg"},
		{"alg HS256", iss.Token(header("alg", "HS256")), "algorithm alg"},
		{"alg supported but not on the list", iss.Token(authtest.SignedBy(rsaKey)), "algorithm alg"},
		{"alg listed but not the key's", iss.Token(header("kid", "rsa")), "algorithm alg"},
		{"no typ", iss.Token(header("typ", nil)), "type typ"},
		{"typ is a number", iss.Token(header("typ", 1)), "format typ"},
		{"typ JWT, as ID tokens have", iss.Token(header("typ", "JWT")), "type typ"},
		{"typ none is not no typ", iss.Token(header("typ", "none")), "type typ"},
		{"typ with its application/", iss.Token(header("typ", "application/at+jwt")), "ok"},
		{"typ in capitals", iss.Token(header("typ", "Application/AT+JWT")), "ok"},
		{"typ of another tree", iss.Token(header("typ", "text/at+jwt")), "type typ"},
		{"unknown crit", iss.Token(header("crit", []string{"exp"})), "format crit"},
		{"empty crit", iss.Token(header("crit", []string{})), "format crit"},
		{"crit null", iss.Token(authtest.RawHeader(`{"alg":"ES256","kid":"test-1","typ":"at+jwt","crit":null}`)), "format crit"},
		{"unencoded payload", iss.Token(header("crit", []string{"b64"}), header("b64", false)), "format crit"},
		{"b64 without crit", iss.Token(header("b64", false)), "format b64"},
		{"kid is a number", iss.Token(header("kid", 1)), "format kid"},
		{"kid too long", iss.Token(header("kid", long)), "claims kid"},
		{"kid unknown", iss.Token(header("kid", fits)), "unknown_key kid"},
		{"no kid, one key fits", iss.Token(header("kid", nil)), "ok"},
		{"own key in jwk", iss.Token(header("jwk", stranger.JWK(nil)), authtest.ForgedBy(stranger)), "signature"},
		{"own key in jku", iss.Token(header("jku", "https://evil.test/keys"), authtest.SignedBy(stranger)), "unknown_key kid"},
		{"own key in x5u and x5c", iss.Token(header("x5u", "https://evil.test"), header("x5c", []string{"MII="}), authtest.ForgedBy(stranger)), "signature"},
		{"such members change nothing for a good key", iss.Token(header("jku", 1), header("jwk", "x"), header("x5c", nil), header("zip", "DEF")), "ok"},

		// Issuer.
		{"no iss", iss.Token(claim("iss", nil)), "issuer iss"},
		{"iss is a list", iss.Token(claim("iss", []string{iss.URL})), "issuer iss"},
		{"iss not configured", other.Token(), "issuer iss"},
		{"iss with a slash more", iss.Token(claim("iss", iss.URL+"/")), "issuer iss"},
		{"iss in capitals", iss.Token(claim("iss", strings.ToUpper(iss.URL))), "issuer iss"},
		{"ISS does not stand in for iss", iss.Token(claim("iss", nil), claim("ISS", iss.URL)), "issuer iss"},

		// Signature.
		{"signed by another key", iss.Token(authtest.ForgedBy(stranger)), "signature"},
		{"payload exchanged", splice(iss.Token(), iss.Token(claim("sub", "root"))), "signature"},
		{"signature too short", iss.Token(edit(func(p []string) { p[2] = p[2][:80] })), "signature"},
		{"signature too long", iss.Token(edit(func(p []string) { p[2] = "AAAA" + p[2] })), "signature"},
		{"a bad signature hides what else is wrong", iss.Token(authtest.ForgedBy(stranger), claim("exp", 1)), "signature"},

		// Times; their edges are in TestVerifyTimes.
		{"no exp", iss.Token(claim("exp", nil)), "claims exp"},
		{"exp is a string", iss.Token(claim("exp", "9999999999")), "claims exp"},
		{"exp is null", iss.Token(plain(`{` + rest + `,"exp":null,"sub":"a"}`)), "claims exp"},
		{"exp is negative", iss.Token(claim("exp", -1)), "claims exp"},
		{"exp is 2^53", iss.Token(claim("exp", 1<<53)), "ok"},
		{"exp is above 2^53", iss.Token(claim("exp", 1<<53+1)), "claims exp"},
		{"exp overflows", iss.Token(plain(`{` + rest + `,"exp":1e400,"sub":"a"}`)), "claims exp"},
		{"exp overflows without exponent", iss.Token(plain(`{` + rest + `,"exp":` + strings.Repeat("9", 400) + `,"sub":"a"}`)), "claims exp"},
		{"exp with an exponent", iss.Token(plain(`{` + rest + `,"exp":9e12,"sub":"a"}`)), "ok"},
		{"EXP does not stand in for exp", iss.Token(claim("exp", 1), claim("EXP", 9999999999)), "expired exp"},
		{"nbf is a string", iss.Token(claim("nbf", "1")), "claims nbf"},
		{"nbf is in the future", iss.Token(claim("nbf", time.Now().Add(time.Hour).Unix())), "not_yet_valid nbf"},
		{"iat is in the future", iss.Token(claim("iat", time.Now().Add(time.Hour).Unix())), "not_yet_valid iat"},
		{"iat is an object", iss.Token(claim("iat", map[string]any{})), "claims iat"},

		// Kinds of tokens.
		{"RFC 9068 without client_id", iss.Token(claim("client_id", nil), claim("azp", "c")), "claims client_id"},
		{"RFC 9068 without jti", iss.Token(claim("jti", nil), claim("uti", "u")), "claims jti"},
		{"RFC 9068 without iat", iss.Token(claim("iat", nil)), "claims iat"},
		{"bound to a key", iss.Token(claim("cnf", map[string]any{"jkt": "x"})), "binding cnf"},

		// Audience.
		{"no aud", iss.Token(claim("aud", nil)), "audience aud"},
		{"aud of somebody else", iss.Token(claim("aud", "https://api.test")), "audience aud"},
		{"aud is a list with it", iss.Token(claim("aud", []string{"https://api.test", "linegate"})), "ok"},
		{"aud is an empty list", iss.Token(claim("aud", []string{})), "audience aud"},
		{"aud is a list with a number", iss.Token(claim("aud", []any{"linegate", 1})), "claims aud"},
		{"aud is an object", iss.Token(claim("aud", map[string]any{"linegate": true})), "claims aud"},
		{"client_id is no fallback for aud", iss.Token(claim("aud", nil), claim("client_id", "linegate")), "audience aud"},

		// Names.
		{"no sub", iss.Token(claim("sub", nil)), "claims sub"},
		{"empty sub", iss.Token(claim("sub", "")), "claims sub"},
		{"sub is a number", iss.Token(claim("sub", 7)), "claims sub"},
		{"longest sub", iss.Token(claim("sub", fits)), "ok"},
		{"sub too long", iss.Token(claim("sub", long)), "claims sub"},
		{"sub with half a surrogate pair", iss.Token(plain(`{` + rest + `,"exp":EXP,"sub":"\ud800"}`)), "claims sub"},
		{"sub with the halves exchanged", iss.Token(plain(`{` + rest + `,"exp":EXP,"sub":"\udc00\ud800"}`)), "claims sub"},
		{"sub with a surrogate pair", iss.Token(plain(`{` + rest + `,"exp":EXP,"sub":"\ud83d\ude00"}`)), "ok"},
		{"sub with an escaped backslash before u", iss.Token(plain(`{` + rest + `,"exp":EXP,"sub":"\\ud800"}`)), "ok"},
		{"client_id too long", iss.Token(claim("client_id", long)), "claims client_id"},
		{"jti too long", iss.Token(claim("jti", long)), "claims jti"},
		{"jti is a number", iss.Token(claim("jti", 7)), "claims jti"},

		// Scope.
		{"no scope", iss.Token(claim("scope", nil)), "scope scope"},
		{"another scope", iss.Token(claim("scope", "line:connected xline:connect")), "scope scope"},
		{"scope in capitals", iss.Token(claim("scope", "LINE:CONNECT")), "scope scope"},
		{"scope among others", iss.Token(claim("scope", "openid line:connect email")), "ok"},
		{"scope as an array in scp", iss.Token(claim("scope", nil), claim("scp", []string{"line:connect"})), "ok"},
		{"scope is a number", iss.Token(claim("scope", 1)), "claims scope"},
		{"256 scopes", iss.Token(claim("scope", "line:connect"+strings.Repeat(" s", 255))), "ok"},
		{"257 scopes", iss.Token(claim("scope", "line:connect"+strings.Repeat(" s", 256))), "claims scope"},
		{"257 scopes in two claims", iss.Token(claim("scope", "line:connect"+strings.Repeat("  s", 128)), claim("scp", strings.Split(strings.Repeat("s", 128), ""))), "claims scp"},
		{"array element with a space", iss.Token(claim("scope", nil), claim("scp", []string{"a line:connect"})), "claims scp"},
		{"scopes apart by a tab", iss.Token(claim("scope", "a\tline:connect")), "scope scope"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := outcomeOf(t, v, tt.token); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// exp is strict; nbf and iat may be ahead by the leeway of 30 s.
func TestVerifyTimes(t *testing.T) {
	tests := []struct {
		claim string
		value string // seconds from now, and a fraction
		want  string
	}{
		{"exp", "-1", "expired exp"},
		{"exp", "0", "expired exp"},
		{"exp", "0.999999999999999999", "expired exp"},
		{"exp", "1", "ok"},
		{"nbf", "29", "ok"},
		{"nbf", "30", "ok"},
		{"nbf", "30.999999999999999999", "ok"},
		{"nbf", "31", "not_yet_valid nbf"},
		{"iat", "30", "ok"},
		{"iat", "31", "not_yet_valid iat"},
	}
	for _, tt := range tests {
		t.Run(tt.claim+" "+tt.value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				iss := authtest.New(t)
				var offset int64
				whole, fraction, _ := strings.Cut(tt.value, ".")
				fmt.Sscan(whole, &offset)
				value := fmt.Sprint(time.Now().Unix() + offset)
				if fraction != "" {
					value += "." + fraction
				}
				token := iss.Token(claim(tt.claim, rawNumber(value)))
				if got := outcomeOf(t, iss.Verifier(), token); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// A token is valid until the instant of exp, and not one nanosecond longer.
func TestVerifyUntilExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := authtest.New(t)
		v := iss.Verifier()
		token := iss.Token(authtest.ExpiresIn(time.Minute))
		time.Sleep(time.Minute - 1)
		if got := outcomeOf(t, v, token); got != "ok" {
			t.Errorf("1 ns before exp: %s", got)
		}
		time.Sleep(time.Nanosecond)
		if got := outcomeOf(t, v, token); got != "expired exp" {
			t.Errorf("at exp: %s", got)
		}
	})
}

// What the configuration changes, each against a token that differs in it.
func TestVerifyConfigured(t *testing.T) {
	type config = auth.IssuerConfig
	iss := authtest.New(t)
	jwt := header("typ", "JWT")
	untyped := header("typ", nil)
	tests := []struct {
		name   string
		config func(*config)
		token  string
		want   string
	}{
		{"JWT allowed", func(c *config) { c.TokenTypes = []string{"JWT"} }, iss.Token(jwt), "ok"},
		{"JWT allowed needs no client_id, iat, jti", func(c *config) { c.TokenTypes = []string{"JWT"} }, iss.Token(jwt, claim("client_id", nil), claim("iat", nil), claim("jti", nil)), "ok"},
		{"JWT alone refuses at+jwt", func(c *config) { c.TokenTypes = []string{"JWT"} }, iss.Token(), "type typ"},
		{"none allows no typ", func(c *config) { c.TokenTypes = []string{"none"} }, iss.Token(untyped), "ok"},
		{"none alone refuses JWT", func(c *config) { c.TokenTypes = []string{"none"} }, iss.Token(jwt), "type typ"},
		{"none is not typ none", func(c *config) { c.TokenTypes = []string{"none"} }, iss.Token(header("typ", "none")), "type typ"},
		{"ID token by at_hash", func(c *config) { c.TokenTypes = []string{"JWT"} }, iss.Token(jwt, claim("at_hash", "x")), "type at_hash"},
		{"ID token by c_hash", func(c *config) { c.TokenTypes = []string{"JWT"} }, iss.Token(jwt, claim("c_hash", "x")), "type c_hash"},
		{"logout token", func(c *config) { c.TokenTypes = []string{"none"} }, iss.Token(untyped, claim("events", map[string]any{})), "type events"},

		{"audience claim client_id", func(c *config) { c.AudienceClaim = "client_id"; c.Audience = []string{"a", "device-client"} }, iss.Token(claim("aud", nil)), "ok"},
		{"audience claim azp missing, aud present", func(c *config) { c.AudienceClaim = "azp" }, iss.Token(), "audience azp"},

		{"required claim", func(c *config) { c.RequiredClaims = map[string][]string{"use": {"access"}} }, iss.Token(claim("use", "access")), "ok"},
		{"required claim in an array", func(c *config) { c.RequiredClaims = map[string][]string{"use": {"x", "access"}} }, iss.Token(claim("use", []string{"a", "access"})), "ok"},
		{"required claim of another value", func(c *config) { c.RequiredClaims = map[string][]string{"use": {"access"}} }, iss.Token(claim("use", "id")), "claims use"},
		{"required claim missing", func(c *config) { c.RequiredClaims = map[string][]string{"use": {"access"}} }, iss.Token(), "claims use"},
		{"required claim of another type", func(c *config) { c.RequiredClaims = map[string][]string{"use": {"true"}} }, iss.Token(claim("use", true)), "claims use"},
		{"all required claims", func(c *config) { c.RequiredClaims = map[string][]string{"a": {"1"}, "b": {"2"}} }, iss.Token(claim("a", "1"), claim("b", "1")), "claims b"},

		{"two required scopes, one missing", func(c *config) { c.RequiredScopes = []string{"line:connect", "more"} }, iss.Token(), "scope scope"},
		{"no required scope", func(c *config) { c.RequiredScopes = nil }, iss.Token(claim("scope", nil)), "ok"},
		{"scope in roles", func(c *config) { c.ScopeClaims = []string{"roles"} }, iss.Token(claim("scope", nil), claim("roles", []string{"line:connect"})), "ok"},
		{"scope in roles, not in scope", func(c *config) { c.ScopeClaims = []string{"roles"} }, iss.Token(), "scope roles"},

		{"subject in oid", func(c *config) { c.SubjectClaim = "oid" }, iss.Token(claim("sub", nil), claim("oid", "o")), "ok"},
		{"subject in oid, missing", func(c *config) { c.SubjectClaim = "oid" }, iss.Token(), "claims oid"},
		{"no leeway", func(c *config) { c.Leeway = 0 }, iss.Token(claim("nbf", time.Now().Unix()+2)), "not_yet_valid nbf"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := iss.Config()
			tt.config(&c)
			if got := outcomeOf(t, newVerifier(t, c), tt.token); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Each algorithm verifies its own signatures and refuses those of all others
// under its name.
func TestVerifyAlgorithms(t *testing.T) {
	iss := authtest.New(t)
	rsaSigner := newRSA(t)
	keys := map[string]*mint.Key{}
	for _, alg := range mint.Algorithms {
		if alg[1] == 'S' && alg[0] != 'E' {
			keys[alg] = mint.FromSigner(alg, "key-"+alg, rsaSigner)
		} else {
			keys[alg] = newKey(t, alg, "key-"+alg)
		}
		iss.PublishJWK(keys[alg].JWK(nil))
	}
	c := iss.Config()
	c.Algorithms = mint.Algorithms
	v := newVerifier(t, c)
	for alg, key := range keys {
		if got := outcomeOf(t, v, iss.Token(authtest.SignedBy(key))); got != "ok" {
			t.Errorf("%s: %s", alg, got)
		}
		for claimed := range keys {
			same := claimed == alg || strings.HasPrefix(claimed, "Ed") && strings.HasPrefix(alg, "Ed")
			token := iss.Token(authtest.SignedBy(key), header("alg", claimed))
			if got := outcomeOf(t, v, token); (got == "ok") != same {
				t.Errorf("key for %s, token says %s: %s", alg, claimed, got)
			}
		}
	}
}

// A key without alg serves every algorithm of its type, one with alg that one
// alone; without kid in the token exactly one key must fit.
func TestVerifyKeyChoice(t *testing.T) {
	signer := newRSA(t)
	key := mint.FromSigner("RS256", "k1", signer)
	pss := mint.FromSigner("PS256", "k1", signer)
	second := newKey(t, "RS256", "k2")
	tests := []struct {
		name  string
		jwks  []map[string]any
		token func(*authtest.Issuer) string
		want  string
	}{
		{"alg given", jwks(key.JWK(nil)), signed(key), "ok"},
		{"alg given, another used", jwks(key.JWK(nil)), signed(pss), "algorithm alg"},
		{"alg left open", jwks(key.JWK(one("alg", nil))), signed(pss), "ok"},
		{"a kid with a key for each type", jwks(newKey(t, "ES256", "k1").JWK(nil), key.JWK(nil)), signed(key), "ok"},
		{"a kid with one key for two algorithms", jwks(key.JWK(nil), pss.JWK(nil)), signed(pss), "ok"},
		{"no kid, two keys fit", jwks(key.JWK(nil), second.JWK(nil)), signed(key, header("kid", nil)), "unknown_key kid"},
		{"no kid, none fits", jwks(newKey(t, "ES256", "e").JWK(nil)), signed(key, header("kid", nil)), "unknown_key kid"},
		{"no kid on either side", jwks(key.JWK(one("kid", nil))), signed(key, header("kid", nil)), "ok"},
		{"kid in the token alone", jwks(key.JWK(one("kid", nil))), signed(key), "unknown_key kid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			iss := authtest.New(t)
			iss.Remove(iss.SigningKey().ID)
			for _, jwk := range tt.jwks {
				iss.PublishJWK(jwk)
			}
			c := iss.Config()
			c.Algorithms = []string{"RS256", "PS256", "ES256"}
			if got := outcomeOf(t, newVerifier(t, c), tt.token(iss)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Two issuers may publish different keys under one kid: a key speaks for its
// own issuer only.
func TestVerifySeveralIssuers(t *testing.T) {
	a, b := authtest.New(t), authtest.New(t, authtest.Named("other"))
	sameKid := newKey(t, "ES256", a.SigningKey().ID)
	b.PublishJWK(sameKid.JWK(nil))
	v := newVerifier(t, a.Config(), b.Config())
	for _, tt := range []struct {
		name, token, want string
	}{
		{"a's own", a.Token(), "ok"},
		{"b's own", b.Token(), "ok"},
		{"b's with the kid that a has too", b.Token(authtest.SignedBy(sameKid)), "ok"},
		{"b's key for a's name", a.Token(authtest.SignedBy(sameKid)), "signature"},
		{"a's key for b's name", b.Token(authtest.SignedBy(a.SigningKey())), "signature"},
	} {
		if got := outcomeOf(t, v, tt.token); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}

	if err := v.SetIssuers([]auth.IssuerConfig{b.Config()}); err != nil {
		t.Fatal(err)
	}
	if got := outcomeOf(t, v, a.Token()); got != "issuer iss" {
		t.Errorf("after a was removed: %s", got)
	}
	if err := v.SetIssuers([]auth.IssuerConfig{{Name: "broken"}}); err == nil {
		t.Error("a broken configuration was taken")
	}
	if got := outcomeOf(t, v, b.Token()); got != "ok" {
		t.Errorf("after a reload that failed: %s", got)
	}
}

func TestVerifyErrorNames(t *testing.T) {
	iss := authtest.New(t)
	_, err := iss.Verifier().Verify(t.Context(), iss.Token(claim("exp", 1)), auth.Proof{})
	refusal, ok := errors.AsType[*auth.Error](err)
	if !ok || refusal.IssuerName != iss.Name || refusal.KeyID != iss.SigningKey().ID || refusal.Claim != "exp" {
		t.Errorf("got %+v", refusal)
	}
	if got, want := err.Error(), "auth: expired (exp): has passed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	type config = auth.IssuerConfig
	tests := []struct {
		name   string
		change func(*config)
		want   string
	}{
		{"no name", func(c *config) { c.Name = "" }, `auth: issuer "": name: missing`},
		{"no issuer", func(c *config) { c.Issuer = "" }, `auth: issuer "test": issuer: must have 1 to 256 bytes`},
		{"no audience", func(c *config) { c.Audience = nil }, `auth: issuer "test": audience: at least one is needed, and none may be empty`},
		{"audience claim", func(c *config) { c.AudienceClaim = "sub" }, `auth: issuer "test": audience_claim: "sub" is none of aud, client_id, azp`},
		{"symmetric algorithm", func(c *config) { c.Algorithms = []string{"ES256", "HS256"} }, `auth: issuer "test": algorithms: "HS256" is not supported`},
		{"algorithm none", func(c *config) { c.Algorithms = []string{"none"} }, `auth: issuer "test": algorithms: "none" is not supported`},
		{"token type", func(c *config) { c.TokenTypes = []string{"dpop+jwt"} }, `auth: issuer "test": token_types: "dpop+jwt" is none of at+jwt, JWT, none`},
		{"required claim", func(c *config) { c.RequiredClaims = map[string][]string{"a": nil} }, `auth: issuer "test": required_claims: a: no allowed string`},
		{"required scope", func(c *config) { c.RequiredScopes = []string{"a b"} }, `auth: issuer "test": required_scopes: "a b" is no scope`},
		{"leeway", func(c *config) { c.Leeway = 61 * time.Second }, `auth: issuer "test": leeway: must be 0 to 1m0s`},
		{"lifetime", func(c *config) { c.MaxLifetime = -1 }, `auth: issuer "test": max_lifetime: must not be negative`},
		{"keys", func(c *config) { c.Keys = nil }, `auth: issuer "test": no key source`},
	}
	iss := authtest.New(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := iss.Config()
			tt.change(&c)
			if _, err := auth.NewVerifier(auth.Config{Issuers: []config{c}}); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	if _, err := auth.NewVerifier(auth.Config{Issuers: []config{iss.Config(), iss.Config()}}); err == nil {
		t.Error("one issuer twice was taken")
	}
	if _, err := auth.NewVerifier(auth.Config{}); err == nil {
		t.Error("no issuer at all was taken")
	}
}

func newVerifier(t testing.TB, issuers ...auth.IssuerConfig) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(auth.Config{Issuers: issuers})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newKey(t testing.TB, algorithm, id string) *mint.Key {
	t.Helper()
	key, err := mint.NewKey(algorithm, id)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func jwks(list ...map[string]any) []map[string]any { return list }

func one(name string, value any) map[string]any { return map[string]any{name: value} }

func signed(key *mint.Key, changes ...authtest.Change) func(*authtest.Issuer) string {
	return func(iss *authtest.Issuer) string {
		return iss.Token(slices.Concat([]authtest.Change{authtest.SignedBy(key)}, changes)...)
	}
}

// edit changes the parts of a finished token.
func edit(change func(parts []string)) authtest.Change {
	return authtest.Edit(func(token string) string {
		parts := strings.Split(token, ".")
		change(parts)
		return strings.Join(parts, ".")
	})
}

// splice puts b's payload into a.
func splice(a, b string) string {
	parts := strings.Split(a, ".")
	parts[1] = strings.Split(b, ".")[1]
	return strings.Join(parts, ".")
}

// looseBits returns another spelling of the same bytes, which lenient decoders
// take.
func looseBits(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	loose := part[:len(part)-1] + alphabet[last+1:last+2]
	a, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		panic(err)
	}
	if b, err := base64.RawURLEncoding.DecodeString(loose); err != nil || string(a) != string(b) {
		panic("not another spelling")
	}
	return loose
}

// rawNumber is a JSON number as written.
type rawNumber string

func (n rawNumber) MarshalJSON() ([]byte, error) { return []byte(n), nil }
