package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// explain tells what is written in a token, in plain words. It checks nothing,
// and fails for what is no signed JWT (RFC 7515 section 7.1, RFC 7519).
func explain(w io.Writer, token string, now time.Time) error {
	header, claims, err := decode(token)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	parts := strings.Split(token, ".")
	section(table, "header"+repeated(parts[0]), header, headerWords, now)
	section(table, "claims"+repeated(parts[1]), claims, claimWords, now)
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, "\nThe signature is not shown. Whoever has the token can connect with it until it expires.")
	return err
}

// decode splits and decodes a token. Its errors hold nothing of it.
func decode(token string) (header, claims map[string]any, err error) {
	parts := strings.Split(token, ".")
	switch len(parts) {
	case 3:
	case 5:
		return nil, nil, errors.New("the token has five parts: it is encrypted (JWE), and only its audience can read it")
	case 1:
		return nil, nil, errors.New("the token has no dots: it is opaque, no JWT")
	default:
		return nil, nil, fmt.Errorf("the token has %d parts between dots, want three", len(parts))
	}
	if header, err = object(parts[0]); err != nil {
		return nil, nil, fmt.Errorf("the token's header %w", err)
	}
	if claims, err = object(parts[1]); err != nil {
		return nil, nil, fmt.Errorf("the token's payload %w", err)
	}
	return header, claims, nil
}

func object(part string) (map[string]any, error) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, errors.New("is not base64url")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil || members == nil || decoder.More() {
		return nil, errors.New("is not a JSON object")
	}
	return members, nil
}

// repeated says which members of an object that can be read are there more than
// once.
func repeated(part string) string {
	text, _ := base64.RawURLEncoding.DecodeString(part)
	decoder := json.NewDecoder(bytes.NewReader(text))
	_, _ = decoder.Token()        // the brace
	seen := map[json.Token]bool{} // all are strings
	for decoder.More() {
		name, err := decoder.Token()
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			break
		}
		if seen[name] {
			return fmt.Sprintf(" (%s is there more than once: the gateway refuses that; the last is shown)", brief(name, true))
		}
		seen[name] = true
	}
	return ""
}

// word is what a member of a header or payload means to a gateway.
type word struct {
	name, meaning string
}

var headerWords = []word{
	{"alg", "signature algorithm"},
	{"kid", "id of the key that signed it, in the issuer's key set"},
	{"typ", ""},
	{"crit", "extensions that must be understood; the gateway refuses any"},
	{"jku", "ignored: the gateway takes keys only from its configured issuers"},
	{"jwk", "ignored: the gateway takes keys only from its configured issuers"},
	{"x5u", "ignored: the gateway takes keys only from its configured issuers"},
	{"x5c", "ignored: the gateway takes keys only from its configured issuers"},
}

var claimWords = []word{
	{"iss", "issuer: who made it"},
	{"sub", "subject: whom it speaks for"},
	{"aud", "audience: for whom it is"},
	{"client_id", "client that got it"},
	{"azp", "client that got it"},
	{"appid", "client that got it"},
	{"scope", "what it allows"},
	{"scp", "what it allows"},
	{"roles", "what it allows"},
	{"exp", "expires"},
	{"nbf", "not valid before"},
	{"iat", "issued"},
	{"auth_time", "when the user logged in"},
	{"jti", "id of the token"},
	{"uti", "id of the token"},
	{"cnf", ""},
	{"token_use", "kind of token"},
	{"nonce", "ID tokens have it, access tokens do not"},
	{"at_hash", "ID tokens have it, access tokens do not"},
	{"c_hash", "ID tokens have it, access tokens do not"},
	{"events", "security event tokens have it, access tokens do not"},
}

// section writes one member a line: the known ones in their order, then the
// others.
func section(w io.Writer, title string, members map[string]any, known []word, now time.Time) {
	fmt.Fprintln(w, title)
	rest := maps.Clone(members)
	for _, k := range known {
		value, ok := members[k.name]
		delete(rest, k.name)
		switch {
		case k.name == "cnf" && ok:
			fmt.Fprintf(w, "  cnf\t%s\t%s\n", brief(value, ok), bindingMeaning(value))
		case k.name == "typ":
			fmt.Fprintf(w, "  typ\t%s\t%s\n", brief(value, ok), typeMeaning(value))
		case ok:
			meaning := k.meaning
			if when, isTime := moment(k.name, value, now); isTime {
				meaning += ": " + when
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\n", k.name, brief(value, true), meaning)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		fmt.Fprintf(w, "  %s\t%s\t\n", brief(name, true), brief(rest[name], true))
	}
}

func typeMeaning(typ any) string {
	name, _ := typ.(string)
	switch strings.TrimPrefix(strings.ToLower(name), "application/") {
	case "at+jwt":
		return "access token (RFC 9068)"
	case "jwt":
		return "a JWT of some kind; the gateway takes it only where token_types has JWT"
	case "":
		return "no type; the gateway takes it only where token_types has none"
	}
	return "not a type of access tokens"
}

// bindingMeaning says to what a token is bound (RFC 7800, RFC 8705).
func bindingMeaning(cnf any) string {
	members, _ := cnf.(map[string]any)
	if thumbprint, _ := members["x5t#S256"].(string); thumbprint != "" && len(members) == 1 {
		return "bound to the client certificate with this SHA-256 thumbprint; --client-cert names the one to check by"
	}
	return "bound to what the gateway cannot check, so it refuses the token; it can check x5t#S256 alone"
}

// moment reads a NumericDate (RFC 7519 section 2): when that is, and how far
// away.
func moment(name string, value any, now time.Time) (string, bool) {
	number, ok := value.(json.Number)
	if !ok || !slices.Contains([]string{"exp", "nbf", "iat", "auth_time"}, name) {
		return "", false
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > 1<<53 {
		return "no date", true
	}
	at := time.Unix(int64(seconds), 0).UTC()
	distance := at.Sub(now).Round(time.Second)
	text := at.Format(time.RFC3339)
	switch {
	case distance > 0:
		return fmt.Sprintf("%s, in %v", text, distance), true
	case distance < 0:
		return fmt.Sprintf("%s, %v ago", text, -distance), true
	}
	return text + ", now", true
}

// maxShown bounds a value on the screen, in bytes.
const maxShown = 200

// brief shows a value on one line: a string as it is, anything else as JSON.
func brief(value any, present bool) string {
	if !present {
		return "-"
	}
	text, isString := value.(string)
	if !isString {
		encoded, err := json.Marshal(value)
		if err != nil {
			return "?"
		}
		text = string(encoded)
	}
	if len(text) > maxShown {
		text = text[:maxShown] + "..."
	}
	return strings.ReplaceAll(visible([]byte(text)), "\t", `\t`)
}
