package auth

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// FuzzMetadata: whatever an issuer says about itself and about how long that is
// good, keys are asked for at an https address that the document names to any reader
// of JSON, at sane distances.
func FuzzMetadata(f *testing.F) {
	const issuer = "https://issuer.test"
	for _, doc := range []string{
		`{"issuer":"https://issuer.test","jwks_uri":"https://issuer.test/keys"}`, `{"issuer":"https://issuer.test","jwks_uri":"http://127.0.0.1/keys"}`,
		` { "iss\u0075er" : "https://issuer.test" , "x" : [ { } , 1e400 ] , "jwks_uri" : "HTTPS://[::1]:1/?a=b" } `,
		`{"issuer":"https://issuer.test","jwks_uri":"https://a:b@issuer.test/keys#x"}`, `{"issuer":"https://issuer.test","issuer":"x","jwks_uri":"https:"}`,
		`{"issuer":"https://issuer.test","JWKS_URI":"https://a/","jwks_uri":7}`, `{"issuer":null}`, `[]`, ``,
	} {
		f.Add([]byte(doc), "public, max-age=300", "10", "60")
	}
	f.Add([]byte("{}"), "max-age=99999999999999999999,no-store", "18446744073709551615", "Fri, 31 Dec 9999 23:59:59 GMT")
	f.Add([]byte("{}"), `MAX-AGE="7" , max-age=-1`, "-1", "Mon, 01 Jan 0001 00:00:00 GMT")
	fetcher, err := newFetcher(RemoteConfig{Issuer: issuer})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc []byte, cacheControl, age, retry string) {
		header := http.Header{"Cache-Control": {cacheControl}, "Age": {age}, "Retry-After": {retry}}
		if d := freshFor(header, time.Hour); d < minRefresh || d > time.Hour {
			t.Fatalf("fresh for %v by %q, %q", d, cacheControl, age)
		}
		if d := retryAfter(header); d < 0 {
			t.Fatalf("to be asked again after %v by %q", d, retry)
		}
		address, err := fetcher.parseMetadata(doc)
		if err != nil {
			if len(err.Error()) > 1024 {
				t.Fatalf("%d bytes for the log", len(err.Error()))
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(doc, &members); err != nil {
			t.Fatalf("believed, but encoding/json says: %v", err)
		}
		said := func(name string) (text string) { _ = json.Unmarshal(members[name], &text); return text }
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || said("issuer") != issuer || said("jwks_uri") != address {
			t.Fatalf("keys are asked for at %q (%v) by %s", address, err, doc)
		}
	})
}
