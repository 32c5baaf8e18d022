package main

import (
	"bytes"
	"testing"
	"time"
	"unicode"
)

// Whatever a token holds, explaining it neither fails in an unforeseen way nor
// writes what could steer a terminal.
func FuzzExplain(f *testing.F) {
	f.Add(unsigned(`{"alg":"ES256","typ":"at+jwt"}`, `{"iss":"https://a.test","exp":1767323345,"aud":["x"]}`))
	f.Add(unsigned(`{"alg":"\u001b[2J"}`, `{"exp":1e400,"nbf":-1,"iat":{},"\u009b":"\u202e"}`))
	f.Add("a.b.c.d.e")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		var out bytes.Buffer
		if err := explain(&out, token, time.Unix(1767323045, 0)); err != nil && out.Len() > 0 {
			t.Fatalf("wrote %q and failed: %v", out.String(), err)
		}
		for _, r := range out.String() {
			if r != '\n' && unicode.IsControl(r) {
				t.Fatalf("%q in %q", r, out.String())
			}
		}
	})
}
