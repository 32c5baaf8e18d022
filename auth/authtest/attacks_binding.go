package authtest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/linegate/linegate/auth"
)

// Tokens that are not for whoever bears them (RFC 7800). One kind of proof is
// understood, the client certificate of TLS (RFC 8705 section 3.1); a token
// that asks for any other is refused, and never taken for a bearer token.

const x5tS256 = "x5t#S256"

// confirmed has a token confirmed by cnf, whatever that is.
func (a *Attacks) confirmed(cnf any, changes ...Change) string {
	return a.main.Token(append(changes, Claim("cnf", cnf))...)
}

// unproven are offered on a connection without a client certificate.
func (a *Attacks) unproven() []row {
	print := thumbprint(a.device.Certificate[0])
	return append(a.unconfirmable(),
		row{"not bound", a.main.Token(), auth.OK, ""},
		row{"to a certificate", a.confirmed(object{x5tS256: print}), auth.Binding, "cnf"},
		row{"to a certificate, which the token brings along", a.confirmed(object{x5tS256: print},
			Header("x5c", []string{base64.StdEncoding.EncodeToString(a.device.Certificate[0])})), auth.Binding, "cnf"},
		row{"to a certificate, expired", a.confirmed(object{x5tS256: print}, Claim("exp", 1)), auth.Expired, "exp"},
		row{"to a certificate, another key's signature", a.confirmed(object{x5tS256: print}, ForgedBy(a.stranger)), auth.Signature, ""},
		row{"to a certificate, typ JWT", a.loose.Token(Header("typ", "JWT"), Claim("cnf", object{x5tS256: print})), auth.Binding, "cnf"},
		row{"to the digest of nothing", a.confirmed(object{x5tS256: thumbprint(nil)}), auth.Binding, "cnf"},
	)
}

// bound are offered by a client that has shown its certificate.
func (a *Attacks) bound() []row {
	own := a.device.Certificate[0]
	print := thumbprint(own)
	digest := sha256.Sum256(own)
	x5t := func(text any) string { return a.confirmed(object{x5tS256: text}) }
	return append(a.unconfirmable(),
		row{"not bound", a.main.Token(), auth.OK, ""},
		row{"to its certificate", x5t(print), auth.OK, ""},
		row{"to its certificate, typ JWT", a.loose.Token(Header("typ", "JWT"), Claim("cnf", object{x5tS256: print})), auth.OK, ""},

		row{"to another's certificate", x5t(thumbprint(a.other.Certificate[0])), auth.Binding, "cnf"},
		row{"to its authority's certificate", x5t(thumbprint(a.authority())), auth.Binding, "cnf"},
		row{"to its public key", x5t(thumbprint(a.device.Leaf.RawSubjectPublicKeyInfo)), auth.Binding, "cnf"},
		row{"to what is signed in it", x5t(thumbprint(a.device.Leaf.RawTBSCertificate)), auth.Binding, "cnf"},
		row{"to its certificate, another key's signature", a.confirmed(object{x5tS256: print}, ForgedBy(a.stranger)), auth.Signature, ""},
		row{"to its certificate, another audience", a.confirmed(object{x5tS256: print}, Claim("aud", "other")), auth.Audience, "aud"},

		row{"its thumbprint in capitals", x5t(strings.ToUpper(print)), auth.Binding, "cnf"},
		row{"its thumbprint padded", x5t(print + "="), auth.Binding, "cnf"},
		row{"its thumbprint with a space", x5t(print + " "), auth.Binding, "cnf"},
		row{"its thumbprint with an LF", x5t(print + "\n"), auth.Binding, "cnf"},
		row{"its thumbprint with a CR within", x5t(print[:8] + "\r" + print[8:]), auth.Binding, "cnf"},
		row{"its thumbprint with bits behind the end", x5t(respelled(print)), auth.Binding, "cnf"},
		row{"its thumbprint cut short", x5t(print[:42]), auth.Binding, "cnf"},
		row{"its thumbprint in hexadecimal", x5t(hex.EncodeToString(digest[:])), auth.Binding, "cnf"},
		row{"its thumbprint in a list", x5t([]string{print}), auth.Binding, "cnf"},
		row{"no thumbprint", x5t(""), auth.Binding, "cnf"},
		row{"x5t#s256, another case", a.confirmed(object{"x5t#s256": print}), auth.Binding, "cnf"},
		row{"X5T#S256, another case", a.confirmed(object{"X5T#S256": print}), auth.Binding, "cnf"},
		row{"x5t#S256 and another case of it", a.confirmed(object{x5tS256: print, "X5T#S256": print}), auth.Binding, "cnf"},
		row{"x5t, of SHA-1", a.confirmed(object{"x5t": print}), auth.Binding, "cnf"},
		row{"x5t#S256 twice", a.main.Token(a.payload("{", `"exp":EXP,"sub":"a","cnf":{"x5t#S256":"`+print+`","x5t#S256":"`+print+`"}}`)), auth.Binding, "cnf"},
		row{"cnf twice", a.main.Token(a.payload("{", `"exp":EXP,"sub":"a","cnf":{"x5t#S256":"`+print+`"},"cnf":{"jkt":"x"}}`)), auth.Format, ""},
		row{"x5t#S256 beside jkt", a.confirmed(object{x5tS256: print, "jkt": print}), auth.Binding, "cnf"},
		row{"x5t#S256 beside an unknown member", a.confirmed(object{x5tS256: print, "new": 1}), auth.Binding, "cnf"},
		row{"x5t#S256 without cnf, which binds nothing", a.main.Token(Claim(x5tS256, thumbprint(a.other.Certificate[0]))), auth.OK, ""},
	)
}

type object = map[string]any

// unconfirmable cannot be checked on any connection.
func (a *Attacks) unconfirmable() []row {
	print := thumbprint(a.device.Certificate[0])
	return []row{
		{"cnf empty", a.confirmed(object{}), auth.Binding, "cnf"},
		{"cnf null", a.main.Token(a.payload("{", `"exp":EXP,"sub":"a","cnf":null}`)), auth.Binding, "cnf"},
		{"cnf a list", a.confirmed([]object{{x5tS256: print}}), auth.Binding, "cnf"},
		{"cnf an empty list", a.confirmed([]object{}), auth.Binding, "cnf"},
		{"cnf a string", a.confirmed(print), auth.Binding, "cnf"},
		{"cnf false", a.confirmed(false), auth.Binding, "cnf"},
		{"cnf a number", a.confirmed(0), auth.Binding, "cnf"},
		{"jkt: DPoP", a.confirmed(object{"jkt": print}), auth.Binding, "cnf"},
		{"jwk", a.confirmed(object{"jwk": a.stranger.JWK(nil)}), auth.Binding, "cnf"},
		{"jwk, the key that signed the token", a.confirmed(object{"jwk": a.main.SigningKey().JWK(nil)}), auth.Binding, "cnf"},
		{"jwe", a.confirmed(object{"jwe": fiveJWE}), auth.Binding, "cnf"},
		{"kid", a.confirmed(object{"kid": "main-1"}), auth.Binding, "cnf"},
		{"jku", a.confirmed(object{"jku": a.trap.url("/keys")}), auth.Binding, "cnf"},
		{"an unknown member", a.confirmed(object{"new": "x"}), auth.Binding, "cnf"},
		{"x5t#S256 null", a.main.Token(a.payload("{", `"exp":EXP,"sub":"a","cnf":{"x5t#S256":null}}`)), auth.Binding, "cnf"},
	}
}

// authority is the certificate of who issued the clients'.
func (a *Attacks) authority() []byte {
	chains, err := a.device.Leaf.Verify(x509.VerifyOptions{
		Roots: a.Clients.Roots(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return chains[0][len(chains[0])-1].Raw
}

func thumbprint(certificate []byte) string {
	digest := sha256.Sum256(certificate)
	return encode(digest[:])
}
