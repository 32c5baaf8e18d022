package devissuer

import (
	"net"
	"net/url"
	"testing"
)

// FuzzRedirect: whatever is asked for, what matches leads to the host, path and
// query that are registered.
func FuzzRedirect(f *testing.F) {
	registered := []string{
		"http://127.0.0.1/callback", "http://[::1]/callback?a=b", "https://app.example/cb", "com.example.app:/cb",
		"http://localhost/callback", "http://127.0.0.1:1234/callback",
	}
	for _, r := range registered {
		if err := checkRedirect(r); err != nil {
			f.Fatal(err)
		}
		f.Add(r)
	}
	for _, asked := range []string{
		"http://127.0.0.1:1/callback", "http://[::1]:65535/callback?a=b", "http://127.0.0.1:+1/callback",
		"http://127.0.0.1:1@evil.example/callback", "http://127.0.0.1:01/callback", "http://127.0.0.1:/callback",
		"http://127.0.0.1:1/callback/../callback", "http://127.0.0.1:1/callback#", "http://127.0.0.1:\uff11/callback",
	} {
		f.Add(asked)
	}
	f.Fuzz(func(t *testing.T, asked string) {
		for _, r := range registered {
			if !matchesRedirect(r, asked) || r == asked {
				continue
			}
			want, err := url.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := url.Parse(asked)
			if err != nil {
				t.Fatalf("%q matches %q and is no URI: %v", asked, r, err)
			}
			if _, err := net.ResolveTCPAddr("tcp", got.Host); err != nil || got.Port() == "0" {
				t.Errorf("%q matches %q: no port: %v", asked, r, err)
			}
			host := net.ParseIP(want.Hostname())
			if !host.IsLoopback() || want.Port() != "" || !host.Equal(net.ParseIP(got.Hostname())) {
				t.Errorf("%q matches %q: another host", asked, r)
			}
			got.Host = want.Host
			if got.String() != want.String() || got.User != nil {
				t.Errorf("%q matches %q: another address", asked, r)
			}
		}
	})
}

func TestCheckRedirect(t *testing.T) {
	for redirect, want := range map[string]bool{
		"http://127.0.0.1/callback":      true,
		"http://[::1]:8080/callback":     true,
		"http://localhost/callback":      true, // RFC 8252 section 8.3 advises against it
		"https://app.example/cb?a=b":     true,
		"com.example.app:/cb":            true, // RFC 8252 section 7.1
		"http://app.example/cb":          false,
		"https://app.example/cb#f":       false, // RFC 6749 section 3.1.2
		"https://app.example/cb#":        false,
		"https://user@app.example/cb":    false,
		"https:///cb":                    false,
		"/callback":                      false,
		"app:/cb":                        false,
		"javascript:alert(1)":            false,
		"data:text/html,x":               false,
		"https://app.example/a b":        false,
		"https://app.example/\r\nx: y":   false,
		"http://127.0.0.1.evil.example/": false,
		"":                               false,
	} {
		if err := checkRedirect(redirect); (err == nil) != want {
			t.Errorf("%q: %v", redirect, err)
		}
	}
}
