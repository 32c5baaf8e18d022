package authtest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/linegate/linegate/auth"
)

// What is no compact JWS (RFC 7515 section 7.1), or none of JSON objects.

// bytes are those that no token has, wherever they stand. Decoders of base64
// skip some of them, so that one token would have many spellings.
func (a *Attacks) bytes() []row {
	good := a.main.Token()
	rows := []row{
		{"letters, digits, - and _", good, auth.OK, ""},
		// On the wire an LF ends the line, and what is left has two parts.
		{"LF in the header", insert(good, 0, "\n"), auth.Format, ""},
		{"LF in the payload", insert(good, 1, "\n"), auth.Format, ""},
	}
	for _, foreign := range []struct{ name, text string }{
		{"CR", "\r"},
		{"NUL", "\x00"},
		{"HT", "\t"},
		{"space", " "},
		{"=", "="},
		{"+ of the other base64", "+"},
		{"/ of the other base64", "/"},
		{"percent-encoding", "%41"},
		{"a byte above 127", "\xff"},
		{"a letter beyond ASCII", "é"},
		{"a full-width A", "Ａ"},
		{"a space of no width", "\u200b"},
	} {
		for part, where := range []string{"header", "payload", "signature"} {
			rows = append(rows, row{foreign.name + " in the " + where, insert(good, part, foreign.text), auth.Format, ""})
		}
		rows = append(rows, row{foreign.name + " in front", foreign.text + good, auth.Format, ""})
		if foreign.text != "\r" { // at the end of a line it belongs to that
			rows = append(rows, row{foreign.name + " behind", good + foreign.text, auth.Format, ""})
		}
	}
	return append(rows,
		row{"padding, as base64 has it elsewhere", good + "==", auth.Format, ""},
		row{"a byte order mark in front", "\ufeff" + good, auth.Format, ""})
}

// insert puts text into the middle of a part.
func insert(token string, part int, text string) string {
	return reword(token, func(p []string) { p[part] = p[part][:8] + text + p[part][8:] })
}

// reword changes the parts of a finished token.
func reword(token string, change func(parts []string)) string {
	parts := strings.Split(token, ".")
	change(parts)
	return strings.Join(parts, ".")
}

// structure is about parts and their encoding.
func (a *Attacks) structure() []row {
	good := a.main.Token()
	parts := strings.Split(good, ".")
	header, payload, signature := parts[0], parts[1], parts[2]
	return []row{
		{"three parts", good, auth.OK, ""},
		{"64 KiB of a good token, which no AUTH line has room for", a.main.Token(Claim("x", strings.Repeat("x", 48<<10))), auth.OK, ""},

		{"one part", "abc", auth.Format, ""},
		{"two parts", header + "." + payload, auth.Format, ""},
		{"four parts", good + "." + signature, auth.Format, ""},
		{"five parts: a JWE", fiveJWE, auth.Format, ""},
		{"five parts of a good token's", good + "." + header + "." + payload, auth.Format, ""},
		{"a dot in front", "." + good, auth.Format, ""},
		{"a dot behind", good + ".", auth.Format, ""},
		{"dots alone", "..", auth.Format, ""},
		{"a million dots", strings.Repeat(".", 1_000_000), auth.Format, ""},
		{"a million dots behind a good token", good + strings.Repeat(".", 1_000_000), auth.Format, ""},
		{"JSON serialization, flattened", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, header, payload, signature), auth.Format, ""},
		{"JSON serialization, general", fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, payload, header, signature), auth.Format, ""},
		{"in quotes", `"` + good + `"`, auth.Format, ""},
		{"as HTTP has it", "Bearer " + good, auth.Format, ""},
		{"two at once", good + "," + good, auth.Format, ""},

		{"no header", "." + payload + "." + signature, auth.Format, ""},
		{"no payload: detached", header + ".." + signature, auth.Format, ""},
		{"no signature", header + "." + payload + ".", auth.Signature, ""},
		{"header of an impossible length", "e30aa." + payload + "." + signature, auth.Format, ""},
		{"payload of an impossible length", header + ".e30aa." + signature, auth.Format, ""},
		{"signature of an impossible length", good + "aaa", auth.Format, ""},
		{"bits behind the end of the header", a.respelledIn(0), auth.Format, ""},
		{"bits behind the end of the payload", a.respelledIn(1), auth.Format, ""},
		{"bits behind the end of the signature", a.respelledIn(2), auth.Format, ""},

		{"header is not JSON", a.main.Token(RawHeader(`{`)), auth.Format, ""},
		{"header is an array", a.main.Token(RawHeader(`["alg"]`)), auth.Format, ""},
		{"header is null", a.main.Token(RawHeader(`null`)), auth.Format, ""},
		{"header is two objects", a.main.Token(RawHeader(`{"alg":"ES256"}{}`)), auth.Format, ""},
		{"payload is a string", a.main.Token(RawClaims(`"hello"`)), auth.Format, ""},
		{"payload is a token", a.main.Token(RawClaims(good)), auth.Format, ""},
		{"payload is two objects", a.main.Token(RawClaims(`{}{}`)), auth.Format, ""},
		{"payload has a byte order mark", a.main.Token(a.payload("\ufeff{", `"exp":EXP,"sub":"a"}`)), auth.Format, ""},
		{"payload is not UTF-8", a.main.Token(a.payload("{", "\"exp\":EXP,\"sub\":\"\xff\"}")), auth.Format, ""},
		{"payload ends in NUL", a.main.Token(a.payload("{", "\"exp\":EXP,\"sub\":\"a\"}\x00")), auth.Format, ""},
		{"payload has a trailing comma", a.main.Token(a.payload("{", `"exp":EXP,"sub":"a",}`)), auth.Format, ""},
		{"payload has a comment", a.main.Token(a.payload("{", `"exp":EXP,"sub":"a"/**/}`)), auth.Format, ""},
		{"payload has white space everywhere", a.main.Token(a.payload(" {\n", "\"exp\" : EXP\t,\r\"sub\":\"a\" , \"x\" : [ { } , [ ] ]\n} ")), auth.OK, ""},
	}
}

// payload is that of a valid token without exp and sub, between begin and end;
// EXP stands for a good time.
func (a *Attacks) payload(begin, end string) Change {
	exp := fmt.Sprint(a.Now.Add(time.Hour).Unix())
	return RawClaims(fmt.Sprintf(`%s"iss":%q,"aud":%q,"client_id":"c","jti":"j","iat":1,"scope":%q,%s`,
		begin, a.main.URL, Audience, Scope, strings.ReplaceAll(end, "EXP", exp)))
}

// respelledIn is a token one of whose parts is spelled otherwise for the same bytes:
// bits that no byte has room for are not zero.
func (a *Attacks) respelledIn(part int) string {
	for filler := ""; ; filler += "x" {
		token := a.main.Token(Header("filler", filler), Claim("filler", filler))
		if text := strings.Split(token, ".")[part]; len(text)%4 != 0 {
			return reword(token, func(p []string) { p[part] = respelled(text) })
		}
	}
}

func respelled(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(part) - 1
	other := part[:last] + alphabet[strings.IndexByte(alphabet, part[last])+1:][:1]
	a, errA := base64.RawURLEncoding.DecodeString(part)
	b, errB := base64.RawURLEncoding.DecodeString(other)
	if errA != nil || errB != nil || string(a) != string(b) {
		panic("authtest: not another spelling")
	}
	return other
}

// members are the names in JSON objects: exact in case, and there once. Other
// readers take EXP for exp, or the last of two.
func (a *Attacks) members() []row {
	token := a.main.Token
	const header = `{"alg":"ES256","kid":"main-1","typ":"at+jwt"`
	return []row{
		{"each member once", token(a.payload("{", `"exp":EXP,"sub":"a"}`)), auth.OK, ""},
		{"a name with an escape counts as what it says", token(a.payload("{", `"exp":EXP,"su\u0062":"a"}`)), auth.OK, ""},

		{"alg twice", token(RawHeader(header + `,"alg":"ES256"}`)), auth.Format, ""},
		{"alg twice, none first", token(RawHeader(`{"alg":"none",` + header[1:] + `}`)), auth.Format, ""},
		{"alg twice, none last", token(RawHeader(header + `,"alg":"none"}`)), auth.Format, ""},
		{"kid twice", token(RawHeader(header + `,"kid":"main-1"}`)), auth.Format, ""},
		{"an unknown member of the header twice", token(RawHeader(header + `,"x":1,"x":1}`)), auth.Format, ""},
		{"exp twice", token(a.payload("{", `"exp":1,"exp":EXP,"sub":"a"}`)), auth.Format, ""},
		{"sub twice", token(a.payload("{", `"exp":EXP,"sub":"a","sub":"b"}`)), auth.Format, ""},
		{"sub twice, once spelled with an escape", token(a.payload("{", `"exp":EXP,"sub":"a","su\u0062":"b"}`)), auth.Format, ""},
		{"iss twice", token(a.payload("{", `"exp":EXP,"sub":"a","iss":"https://evil.test"}`)), auth.Format, ""},
		{"an unknown claim twice", token(a.payload("{", `"exp":EXP,"sub":"a","x":1,"x":1}`)), auth.Format, ""},

		{"ALG for alg", token(RawHeader(`{"ALG":"ES256","kid":"main-1","typ":"at+jwt"}`)), auth.Format, "alg"},
		{"ALG none beside alg", token(Header("ALG", "none")), auth.OK, ""},
		{"alg none beside ALG", token(Header("alg", "none"), Header("ALG", "ES256")), auth.Algorithm, "alg"},
		{"KID beside kid", token(Header("kid", "unknown"), Header("KID", "main-1")), auth.UnknownKey, "kid"},
		{"a Kelvin sign for the k of kid", token(Header("kid", "unknown"), Header("\u212aid", "main-1")), auth.UnknownKey, "kid"},
		{"Typ for typ", token(Header("typ", nil), Header("Typ", "at+jwt")), auth.Type, "typ"},
		{"EXP for exp", token(Claim("exp", nil), Claim("EXP", a.in(time.Hour))), auth.Claims, "exp"},
		{"EXP beside exp", token(Claim("exp", 1), Claim("EXP", a.in(time.Hour))), auth.Expired, "exp"},
		{"Nbf beside none", token(Claim("Nbf", a.in(time.Hour))), auth.OK, ""},
		{"ISS for iss", token(Claim("iss", nil), Claim("ISS", a.main.URL)), auth.Issuer, "iss"},
		{"a long s for the last of iss", token(Claim("iss", nil), Claim("isſ", a.main.URL)), auth.Issuer, "iss"},
		{"Aud for aud", token(Claim("aud", nil), Claim("Aud", Audience)), auth.Audience, "aud"},
		{"Aud beside aud", token(Claim("aud", "other"), Claim("Aud", Audience)), auth.Audience, "aud"},
		{"Sub for sub", token(Claim("sub", nil), Claim("Sub", "a")), auth.Claims, "sub"},
		{"Client_ID for client_id", token(Claim("client_id", nil), Claim("Client_ID", "c")), auth.Claims, "client_id"},
		{"Scope for scope", token(Claim("scope", nil), Claim("Scope", Scope)), auth.Scope, "scope"},
		{"a space behind exp", token(Claim("exp", nil), Claim("exp ", a.in(time.Hour))), auth.Claims, "exp"},
	}
}

// nesting exhausts whoever reads JSON by recursion.
func (a *Attacks) nesting() []row {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	claim := func(name, value string) Change { return a.payload("{", `"exp":EXP,"sub":"a","`+name+`":`+value+`}`) }
	token := a.main.Token
	return []row{
		{"9,999 arrays in the object of claims", token(claim("x", nested(9_999))), auth.OK, ""},
		{"10,000 arrays in the object of claims", token(claim("x", nested(10_000))), auth.Format, ""},
		{"10,000 arrays in the header", token(RawHeader(`{"alg":"ES256","x":` + nested(10_000) + `}`)), auth.Format, ""},
		{"10,001 arrays for claims", token(RawClaims(nested(10_001))), auth.Format, ""},
		{"10,001 objects for claims", token(RawClaims(strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001))), auth.Format, ""},
		{"30,000 arrays that never end", token(RawClaims(strings.Repeat("[", 30_000))), auth.Format, ""},
		{"9,999 arrays for nbf", token(claim("nbf", nested(9_999))), auth.Claims, "nbf"},
		{"9,999 arrays for scp", token(claim("scp", nested(9_999))), auth.Claims, "scp"},
		{"9,999 arrays for cnf", token(claim("cnf", nested(9_999))), auth.Binding, "cnf"},
	}
}

// in is a NumericDate that long after now.
func (a *Attacks) in(d time.Duration) int64 { return a.Now.Add(d).Unix() }
