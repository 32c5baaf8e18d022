package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/linegate/linegate/client"
)

// What clients read of RFC 8414 section 2. How the document is found is
// TestDiscovery's.
func TestMetadata(t *testing.T) {
	for name, test := range map[string]struct {
		members string // beside issuer and token_endpoint
		want    client.Metadata
	}{
		"nothing more": {"", client.Metadata{}},
		"all of it": {
			`,"authorization_endpoint":"https://login.test/a?x=1","device_authorization_endpoint":"https://login.test/d",
			"revocation_endpoint":"http://127.0.0.1/r","code_challenge_methods_supported":["plain","S256"],
			"authorization_response_iss_parameter_supported":true`,
			client.Metadata{
				AuthorizationEndpoint:       "https://login.test/a?x=1",
				DeviceAuthorizationEndpoint: "https://login.test/d",
				RevocationEndpoint:          "http://127.0.0.1/r",
				ChallengeMethods:            []string{"plain", "S256"},
				IssInResponse:               true,
			},
		},
		"what must not be used, and wrong types": {
			`,"authorization_endpoint":"http://login.test/a","device_authorization_endpoint":"javascript:alert()",
			"revocation_endpoint":7,"code_challenge_methods_supported":"S256",
			"authorization_response_iss_parameter_supported":"true"`,
			client.Metadata{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			transport := roundTrip(func(r *http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"issuer":"https://login.test","token_endpoint":"https://login.test/t"`+test.members+`}`)
				return w.Result(), nil
			})
			test.want.TokenEndpoint = "https://login.test/t"
			got, err := client.Issuer{URL: "https://login.test", Transport: transport}.Metadata(t.Context())
			if !reflect.DeepEqual(got, test.want) || err != nil {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestIssuerURL(t *testing.T) {
	for _, url := range []string{"", "login.test", "http://login.test", "https://u:hush@login.test", "https://login.test/#x", "ftp://login.test"} {
		_, err := client.Issuer{URL: url}.Metadata(t.Context())
		if !errors.Is(err, client.ErrConfig) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
