package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

// FuzzGateway: whatever a gateway answers to AUTH and says from then on, a device
// takes in, renews and pings when it is told to, and is through within the time
// that the configuration gives, with an error that can be printed.
func FuzzGateway(f *testing.F) {
	for _, said := range []string{
		okLine + "\npong\nfrom server: x\nNOTICE reauth expires_in=5\nERR invalid_token for=auth action=reauth\nBYE draining action=retry retry_after=5 :later\n",
		"OK AUTH\nNOTICE draining retry_after=99999999999999999999\npong\npong\n", "OK AUTH expires_in=-1 reauth_in=0 idle_timeout=0 max_line=0\nOK AUTH\nOK AUTH\n",
		"OK AUTH reauth_in=0 reauth_in=0 expires_in=1\nERR rate_limited for=auth action=retry retry_after=0\n", "BYE \n", "BYE x action=none retry_after=-5 :\x1b[2J\n",
		"HTTP/1.1 400 Bad Request\r\n\r\n", "\x15\x03\x03\x00\x02\x02\x28", "OK AUTH sub=%zz session=%\nfrom server: ", "",
	} {
		f.Add([]byte(said))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		synctest.Test(t, func(t *testing.T) { meet(t, said) })
	})
}

// meet dials a gateway that says all of this, hears out the device, and closes.
func meet(t *testing.T, said []byte) {
	g := newFakeGateway(t)
	go func() {
		p := g.accept()
		end := time.AfterFunc(time.Minute, func() { p.nc.Close() })
		defer end.Stop()
		go func() { _, _ = p.nc.Write(said) }()
		_, _ = io.Copy(io.Discard, p.nc)
	}()
	began := time.Now()
	conn, err := client.Dial(t.Context(), g.config(&numbered{}))
	if err != nil {
		if took := time.Since(began); took > 30*time.Second {
			t.Fatalf("took %v to fail", took)
		}
		checkEnd(t, err)
		return
	}
	defer conn.Close()
	for {
		reply, err := conn.Receive(t.Context())
		if err != nil {
			checkEnd(t, err)
			break
		}
		if len(reply.Text) > 16<<20 || reply.Verb == wire.Bye {
			t.Fatalf("received %+v", reply)
		}
	}
	if took := time.Since(began); took > 2*time.Minute {
		t.Fatalf("took %v to end", took)
	}
}

func checkEnd(t *testing.T, err error) {
	t.Helper()
	if strings.ContainsFunc(err.Error(), unicode.IsControl) || len(err.Error()) > 4096 {
		t.Fatalf("says %q", err.Error())
	}
	if end, ok := errors.AsType[*client.End](err); ok && end.RetryAfter < 0 {
		t.Fatalf("wants to wait for %v", end.RetryAfter)
	}
}

// FuzzIssuer: whatever an issuer says about itself and answers a client with, the
// secret goes to an address over TLS or on this machine, once, and what comes of it is
// a token that an AUTH line can carry, or an error that can be printed and has no
// secret in it.
func FuzzIssuer(f *testing.F) {
	const (
		metadata = `{"issuer":"https://login.test","token_endpoint":"https://login.test/token"}`
		grant    = `{"access_token":"e30.e30.AA","token_type":"bearer","expires_in":300}`
		secret   = "open sesame"
	)
	for _, doc := range []string{
		metadata, `{"issuer":"https://login.test","token_endpoint":"http://127.0.0.1:1/"}`, `{"issuer":"https://login.test","token_endpoint":"http://evil.test/"}`,
		`{"issuer":"https://login.test","token_endpoint":"https://a:b@login.test/#x"}`, `{"issuer":"https://login.test","Token_Endpoint":"https://a/"}`, `[]`, "\x1b[2J", "",
	} {
		f.Add([]byte(doc), []byte(grant), uint16(200), "application/json")
	}
	for _, answer := range []string{
		`{"access_token":"e30.e30.AA\nping","token_type":"Bearer"}`, `{"access_token":"e30.e30.AA","token_type":"mac","expires_in":"1e400"}`,
		`{"access_token":"e30.e30.AA","token_type":"Bearer","expires_in":-1}`, `{"error":"invalid_client\u001b","error_description":"no open sesame open+sesame"}`,
		`{"access_token":["e30.e30.AA"],"token_type":"Bearer"}`, "\x00",
	} {
		f.Add([]byte(metadata), []byte(answer), uint16(200), "application/json; charset=utf-8")
		f.Add([]byte(metadata), []byte(answer), uint16(400), "text/html")
	}
	f.Fuzz(func(t *testing.T, metadata, grant []byte, status uint16, kind string) {
		told := 0
		answer := func(status int, body []byte, kind string) *http.Response {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body))}
		}
		credentials, err := client.NewClientCredentials(client.CredentialsConfig{
			Issuer: "https://login.test", ClientID: "robot", ClientSecret: secret,
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Authorization") == "" {
					return answer(http.StatusOK, metadata, "application/json"), nil
				}
				if told++; r.URL.Scheme != "https" && !client.IsLoopback(r.URL.Hostname()) || r.URL.Host == "" {
					t.Errorf("the secret went to %s", r.URL)
				}
				return answer(100+int(status%500), grant, kind), nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		token, err := credentials.Token(t.Context(), false)
		switch {
		case told > 1:
			t.Fatalf("the secret was told %d times", told)
		case err == nil && (token == "" || strings.ContainsFunc(token, outsideOfTokens)):
			t.Fatalf("granted %q", token)
		case err != nil && token != "":
			t.Fatalf("granted %q, and failed: %v", token, err)
		case err != nil && strings.Contains(err.Error(), secret):
			t.Fatalf("repeats the secret: %v", err)
		case err != nil:
			checkEnd(t, err)
		}
	})
}

func outsideOfTokens(r rune) bool {
	return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", r)
}
