package authtest

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/mint"
)

// What would have a token verified by another key than its issuer's, or by none
// (RFC 8725 sections 2.1, 2.2, 3.1 and 3.10).

// unsigned are tokens that name no algorithm.
func (a *Attacks) unsigned() []row {
	rows := []row{
		{"signed", a.main.Token(), auth.OK, ""},
		{"none, and two parts", strings.TrimSuffix(a.main.Unsigned(), "."), auth.Format, ""},
		{"none, by a stranger", a.main.Token(Header("alg", "none"), ForgedBy(a.stranger)), auth.Algorithm, "alg"},
		{"none, and no kid", a.main.Token(Header("alg", "none"), Header("kid", nil), noSignature), auth.Algorithm, "alg"},
		{"ES256, and no signature", a.main.Token(noSignature), auth.Signature, ""},
		{"no alg", a.main.Token(Header("alg", nil)), auth.Format, "alg"},
		{"no alg, and no signature", a.main.Token(Header("alg", nil), noSignature), auth.Format, "alg"},
		{"alg is null", a.main.Token(RawHeader(`{"alg":null,"kid":"main-1","typ":"at+jwt"}`)), auth.Format, "alg"},
		{"alg is false", a.main.Token(Header("alg", false)), auth.Format, "alg"},
		{"alg is a number", a.main.Token(Header("alg", 256)), auth.Format, "alg"},
		{"alg is a list", a.main.Token(Header("alg", []string{"none", "ES256"})), auth.Format, "alg"},
	}
	for _, alg := range []string{
		"none", "None", "NONE", "nOnE", "none ", " none", "none\x00", "none\n", "nоne" /* with a Cyrillic o */, "null", "undefined", "",
	} {
		rows = append(rows,
			row{fmt.Sprintf("%q, and no signature", alg), a.main.Token(Header("alg", alg), noSignature), auth.Algorithm, "alg"},
			row{fmt.Sprintf("%q, and a signature", alg), a.main.Token(Header("alg", alg)), auth.Algorithm, "alg"})
	}
	return rows
}

var noSignature = Edit(func(token string) string { return token[:strings.LastIndexByte(token, '.')+1] })

// hmacs are keyed with what everybody knows. A verifier that gives one function
// the key and lets the token choose the algorithm takes them.
func (a *Attacks) hmacs() []row {
	jwk, err := json.Marshal(a.rs256.JWK(nil))
	if err != nil {
		a.t.Fatal(err)
	}
	rows := []row{
		{"signed by the key itself", a.main.Token(SignedBy(a.rs256)), auth.OK, ""},
		{"a secret that the issuer published", a.main.Token(Header("kid", "secret"), byHMAC("HS256", []byte(sharedSecret))), auth.Algorithm, "alg"},
	}
	for _, secret := range []struct {
		name string
		kid  string
		key  []byte
	}{
		{"no key at all", "rsa", nil},
		{"NUL for a key", "rsa", []byte{0}},
		{"PEM", "rsa", pemOf("PUBLIC KEY", a.pkix(a.rs256))},
		{"PEM without its last LF", "rsa", bytes.TrimSpace(pemOf("PUBLIC KEY", a.pkix(a.rs256)))},
		{"PEM by PKCS #1", "rsa", pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&a.rsa.PublicKey))},
		{"DER", "rsa", a.pkix(a.rs256)},
		{"DER by PKCS #1", "rsa", x509.MarshalPKCS1PublicKey(&a.rsa.PublicKey)},
		{"JWK", "rsa", jwk},
		{"JWK set", "rsa", a.main.JWKS()},
		{"modulus", "rsa", a.rsa.N.Bytes()},
		{"kid", "rsa", []byte("rsa")},
		{"PEM of the EC key", "main-1", pemOf("PUBLIC KEY", a.pkix(a.main.SigningKey()))},
		{"DER of the EC key", "main-1", a.pkix(a.main.SigningKey())},
	} {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			rows = append(rows, row{
				alg + ", " + secret.name,
				a.main.Token(Header("kid", secret.kid), byHMAC(alg, secret.key)), auth.Algorithm, "alg",
			})
		}
	}
	return append(rows,
		row{"hs256, PEM", a.main.Token(Header("kid", "rsa"), byHMAC("hs256", pemOf("PUBLIC KEY", a.pkix(a.rs256)))), auth.Algorithm, "alg"},
		row{"HS256 under another alg, PEM", a.main.Token(SignedBy(a.rs256), signature(func(signed string, _ []byte) []byte {
			return macOf(crypto.SHA256, pemOf("PUBLIC KEY", a.pkix(a.rs256)), signed)
		})), auth.Signature, ""})
}

// byHMAC names alg and signs by it.
func byHMAC(alg string, secret []byte) Change {
	hash := map[string]crypto.Hash{"384": crypto.SHA384, "512": crypto.SHA512, "256": crypto.SHA256}[alg[2:]]
	return func(d *draft) {
		d.header["alg"] = alg
		signature(func(signed string, _ []byte) []byte { return macOf(hash, secret, signed) })(d)
	}
}

func macOf(hash crypto.Hash, secret []byte, signed string) []byte {
	mac := hmac.New(hash.New, secret)
	mac.Write([]byte(signed))
	return mac.Sum(nil)
}

// signature replaces that of a finished token by what of makes of it, and of
// what it covers.
func signature(of func(signed string, signature []byte) []byte) Change {
	return Edit(func(token string) string {
		i := strings.LastIndexByte(token, '.')
		old, err := base64.RawURLEncoding.DecodeString(token[i+1:])
		if err != nil {
			panic("authtest: " + err.Error())
		}
		return token[:i+1] + encode(of(token[:i], old))
	})
}

func (a *Attacks) pkix(key *mint.Key) []byte {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// misfits are algorithms that do not go with the key that kid names: its type,
// its curve, its size, or what the issuer has published it for.
func (a *Attacks) misfits() []row {
	token := a.main.Token
	named := func(kid, alg string) string { return token(Header("kid", kid), Header("alg", alg)) }
	return []row{
		{"ES256", token(), auth.OK, ""},
		{"ES384", token(SignedBy(a.es384)), auth.OK, ""},
		{"RS256", token(SignedBy(a.rs256)), auth.OK, ""},
		{"PS256", token(SignedBy(a.ps256)), auth.OK, ""},
		{"EdDSA", token(SignedBy(a.ed)), auth.OK, ""},

		{"ES256 for an RSA key", named("rsa", "ES256"), auth.Algorithm, "alg"},
		{"RS256 for an EC key", named("main-1", "RS256"), auth.Algorithm, "alg"},
		{"PS256 for an EC key", named("main-1", "PS256"), auth.Algorithm, "alg"},
		{"EdDSA for an EC key", named("main-1", "EdDSA"), auth.Algorithm, "alg"},
		{"ES256 for an Ed25519 key", named("ed", "ES256"), auth.Algorithm, "alg"},
		{"RS256 for an Ed25519 key", named("ed", "RS256"), auth.Algorithm, "alg"},
		{"EdDSA for an RSA key", named("rsa", "EdDSA"), auth.Algorithm, "alg"},
		{"ES384 for a key on P-256", named("main-1", "ES384"), auth.Algorithm, "alg"},
		{"ES256 for a key on P-384", named("p384", "ES256"), auth.Algorithm, "alg"},
		{"ES256, signed on P-384", token(ForgedBy(a.es384)), auth.Signature, ""},
		{"PS256 for an RSA key published for RS256", named("rsa", "PS256"), auth.Algorithm, "alg"},
		{"RS256 for an RSA key published for PS256", named("pss", "RS256"), auth.Algorithm, "alg"},
		{"RS256 with 1024 bits", token(SignedBy(a.weak)), auth.UnknownKey, "kid"},
		{"a key published for encryption", token(SignedBy(a.encrypting)), auth.UnknownKey, "kid"},

		{"RS512: not on the list", named("rsa", "RS512"), auth.Algorithm, "alg"},
		{"ES512: not on the list", named("main-1", "ES512"), auth.Algorithm, "alg"},
		{"Ed25519: not on the list", named("ed", "Ed25519"), auth.Algorithm, "alg"},
		{"es256", named("main-1", "es256"), auth.Algorithm, "alg"},
		{"ES256 and a space", named("main-1", "ES256 "), auth.Algorithm, "alg"},
		{"ES256K", named("main-1", "ES256K"), auth.Algorithm, "alg"},
		{"an algorithm of JWE", named("rsa", "RSA-OAEP"), auth.Algorithm, "alg"},
		{"dir", named("main-1", "dir"), auth.Algorithm, "alg"},
	}
}

// ownKeys are tokens that bring their key along, or say where to get it (RFC
// 7515 sections 4.1.2 to 4.1.6).
func (a *Attacks) ownKeys() []row {
	key, iss := a.stranger, a.main
	certificate := base64.StdEncoding.EncodeToString(a.other.Certificate[0])
	thumb := sha256.Sum256(a.other.Certificate[0])
	everything := func(d *draft) {
		d.header["jwk"], d.header["jku"] = key.JWK(nil), a.trap.url("/jku")
		d.header["x5u"], d.header["x5c"] = a.trap.url("/x5u"), []string{certificate}
		d.header["x5t#S256"] = encode(thumb[:])
	}
	own := mint.FromSigner("ES256", "stranger", a.other.PrivateKey.(crypto.Signer))
	return []row{
		{"such members change nothing for a good key", iss.Token(everything), auth.OK, ""},
		{"such members may be anything", iss.Token(Header("jku", 1), Header("jwk", "x"), Header("x5c", false)), auth.OK, ""},

		{"jwk", iss.Token(Header("jwk", key.JWK(nil)), ForgedBy(key)), auth.Signature, ""},
		{"jwk with the kid of the issuer's key", iss.Token(Header("jwk", key.JWK(map[string]any{"kid": "main-1"})), ForgedBy(key)), auth.Signature, ""},
		{"jwk, kid of its own", iss.Token(Header("jwk", key.JWK(nil)), SignedBy(key)), auth.UnknownKey, "kid"},
		{"jwk, no kid", iss.Token(Header("jwk", key.JWK(nil)), ForgedBy(key), Header("kid", nil)), auth.Signature, ""},
		{"jwk with a secret", iss.Token(Header("jwk", map[string]any{"kty": "oct", "k": encode([]byte(sharedSecret))}), byHMAC("HS256", []byte(sharedSecret))), auth.Algorithm, "alg"},
		{"jku", iss.Token(Header("jku", a.trap.url("/keys")), ForgedBy(key)), auth.Signature, ""},
		{"jku, kid of its own", iss.Token(Header("jku", a.trap.url("/keys")), SignedBy(key)), auth.UnknownKey, "kid"},
		{"jku, no kid", iss.Token(Header("jku", a.trap.url("/keys")), ForgedBy(key), Header("kid", nil)), auth.Signature, ""},
		{"jku that begins as the issuer's", iss.Token(Header("jku", iss.URL+"@"+a.trap.Addr().String()), SignedBy(key)), auth.UnknownKey, "kid"},
		{"x5u", iss.Token(Header("x5u", a.trap.url("/chain.pem")), ForgedBy(key)), auth.Signature, ""},
		{"x5u, kid of its own", iss.Token(Header("x5u", a.trap.url("/chain.pem")), SignedBy(key)), auth.UnknownKey, "kid"},
		{"x5c", iss.Token(Header("x5c", []string{certificate}), ForgedBy(own)), auth.Signature, ""},
		{"x5c, kid of its own", iss.Token(Header("x5c", []string{certificate}), SignedBy(own)), auth.UnknownKey, "kid"},
		{"x5t#S256 for a kid", iss.Token(Header("x5t#S256", encode(thumb[:])), ForgedBy(own), Header("kid", nil)), auth.Signature, ""},
		{"all at once", iss.Token(everything, ForgedBy(key)), auth.Signature, ""},
		{"an address for a kid", iss.Token(SignedBy(mint.FromSigner("ES256", a.trap.url("/key"), a.other.PrivateKey.(crypto.Signer)))), auth.UnknownKey, "kid"},
		{"an address for an issuer", iss.Token(Claim("iss", a.trap.url("")), ForgedBy(key)), auth.Issuer, "iss"},
	}
}

// keyIDs are those that would mean something to a file system, a database, a
// shell or a log. All tokens are signed by the key whose id they ought to have.
func (a *Attacks) keyIDs() []row {
	rows := []row{
		{"the key's", a.main.Token(), auth.OK, ""},
		{"none, and one key fits", a.main.Token(Header("kid", nil)), auth.OK, ""},
		{"none, and two keys fit", a.main.Token(SignedBy(a.rs256), Header("kid", nil)), auth.UnknownKey, "kid"},
		{"empty counts as none, and one key fits", a.main.Token(Header("kid", "")), auth.OK, ""},
		{"empty, by a stranger", a.main.Token(Header("kid", ""), ForgedBy(a.stranger)), auth.Signature, ""},
		{"a number", a.main.Token(Header("kid", 1)), auth.Format, "kid"},
		{"null", a.main.Token(RawHeader(`{"alg":"ES256","kid":null,"typ":"at+jwt"}`)), auth.Format, "kid"},
		{"a list", a.main.Token(Header("kid", []string{"main-1"})), auth.Format, "kid"},
		{"an object", a.main.Token(Header("kid", map[string]any{"$ne": ""})), auth.Format, "kid"},
		{"257 bytes", a.main.Token(Header("kid", strings.Repeat("k", 257))), auth.Claims, "kid"},
		{"8 KiB", a.main.Token(Header("kid", strings.Repeat("k", 8<<10))), auth.Claims, "kid"},
	}
	for _, kid := range []struct{ name, text string }{
		{"256 bytes", strings.Repeat("k", 256)},
		{"of a stranger", "stranger"},
		{"of another issuer's key", "twin-1"},
		{"in capitals", "MAIN-1"},
		{"and a space", "main-1 "},
		{"and NUL", "main-1\x00"},
		{"a path", "../../../../../../dev/null"},
		{"an absolute path", "/proc/self/environ"},
		{"a file's address", "file:///etc/hostname"},
		{"SQL", "x' UNION SELECT 'known' -- "},
		{"SQL that is always true", "' OR '1'='1"},
		{"a command", "main-1|nc 127.0.0.1 9 #$(id)`id`"},
		{"a template", "{{.}}${7*7}%s%n"},
		{"an LF and a reply", "main-1\nOK AUTH v=1 sub=root"},
		{"a CR, an LF and a record of a log", "main-1\r\n{\"level\":\"INFO\",\"msg\":\"session opened\"}"},
		{"an escape of the terminal", "main-1\x1b[2J\x1b]0;x\x07"},
		{"a line separator", "main-1\u2028main-1"},
		{"right to left", "\u202emain-1"},
	} {
		rows = append(rows, row{kid.name, a.main.Token(Header("kid", kid.text)), auth.UnknownKey, "kid"})
	}
	return rows
}

// namesakes are two issuers' keys with one id: a key speaks for its own issuer
// alone.
func (a *Attacks) namesakes() []row {
	mine, theirs := a.main.SigningKey(), a.namesake
	return []row{
		{"the one's key for the one", a.main.Token(), auth.OK, ""},
		{"the other's key for the other", a.twin.Token(SignedBy(theirs)), auth.OK, ""},
		{"the other's key for the one", a.main.Token(SignedBy(theirs)), auth.Signature, ""},
		{"the one's key for the other", a.twin.Token(SignedBy(mine)), auth.Signature, ""},
		{"a kid that only the other has", a.main.Token(SignedBy(a.twin.SigningKey())), auth.UnknownKey, "kid"},
		{"no kid, the other's key", a.main.Token(SignedBy(theirs), Header("kid", nil)), auth.Signature, ""},
	}
}

// critical are extensions that a token says must be understood (RFC 7515
// section 4.1.11); no extension is.
func (a *Attacks) critical() []row {
	token := a.main.Token
	b64 := Header("b64", false)
	return []row{
		{"an unknown member that is not critical", token(Header("exp", 1), Header("zip", "DEF"), Header("cty", "JWT")), auth.OK, ""},

		{"unknown", token(Header("crit", []string{"exp"}), Header("exp", a.in(time.Hour))), auth.Format, "crit"},
		{"unknown, and not there", token(Header("crit", []string{"exp"})), auth.Format, "crit"},
		{"known: b64 false", token(Header("crit", []string{"b64"}), b64), auth.Format, "crit"},
		{"known: b64 true, which changes nothing", token(Header("crit", []string{"b64"}), Header("b64", true)), auth.Format, "crit"},
		{"b64 false, not critical", token(b64), auth.Format, "b64"},
		{"b64 false, and the payload as it is", token(b64, Edit(func(token string) string {
			return reword(token, func(p []string) { p[1] = `{"iss":"` + a.main.URL + `"}` })
		})), auth.Format, ""},
		{"a member of the standard", token(Header("crit", []string{"alg", "kid"})), auth.Format, "crit"},
		{"jwk, so that it be used", token(Header("crit", []string{"jwk"}), Header("jwk", a.stranger.JWK(nil)), ForgedBy(a.stranger)), auth.Format, "crit"},
		{"empty", token(Header("crit", []string{})), auth.Format, "crit"},
		{"null", token(RawHeader(`{"alg":"ES256","kid":"main-1","typ":"at+jwt","crit":null}`)), auth.Format, "crit"},
		{"a string", token(Header("crit", "exp")), auth.Format, "crit"},
		{"an object", token(Header("crit", map[string]any{"exp": 1})), auth.Format, "crit"},
	}
}
