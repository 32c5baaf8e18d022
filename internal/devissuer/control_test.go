package devissuer_test

import (
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestControlIsLocal: what may reach /dev/ and what may not.
func TestControlIsLocal(t *testing.T) {
	server, err := devissuer.New(devissuer.Config{Issuer: "http://127.0.0.1:8880"})
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		why     string
		peer    string
		host    string
		headers map[string]string
		want    int
	}{
		{"curl", "127.0.0.1:50000", "127.0.0.1:8880", nil, 200},
		{"curl by name", "127.0.0.1:50000", "LocalHost:8880", nil, 200},
		{"curl over IPv6", "[::1]:50000", "[::1]:8880", nil, 200},
		{"no port in Host", "[::ffff:127.0.0.1]:50000", "[::1]", nil, 200},
		{"a page of the issuer's own", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Origin": "http://127.0.0.1:8880", "Sec-Fetch-Site": "same-origin"}, 200},
		{"another machine", "192.0.2.1:50000", "127.0.0.1:8880", nil, 403},
		{"a peer without address", "@", "127.0.0.1:8880", nil, 403},
		{"DNS rebinding", "127.0.0.1:50000", "evil.example:8880", nil, 403},
		{"a name that begins like an address", "127.0.0.1:50000", "127.0.0.1.evil.example", nil, 403},
		{"DNS rebinding, same origin to the browser", "127.0.0.1:50000", "evil.example:8880", map[string]string{"Origin": "http://evil.example:8880", "Sec-Fetch-Site": "same-origin"}, 403},
		{"no Host", "127.0.0.1:50000", "", nil, 403},
		{"a foreign page", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a page on another local port", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"a foreign page in an old browser", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Origin": "https://evil.example"}, 403},
		{"a sandboxed page", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Origin": "null"}, 403},
	} {
		t.Run(strconv.Itoa(i)+" "+test.why, func(t *testing.T) {
			request := httptest.NewRequest("POST", "/dev/rotate", nil)
			request.RemoteAddr, request.Host = test.peer, test.host
			for name, value := range test.headers {
				request.Header.Set(name, value)
			}
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, request)
			if recorder.Code != test.want {
				t.Errorf("%d %s, want %d", recorder.Code, recorder.Body, test.want)
			}
		})
	}
}
