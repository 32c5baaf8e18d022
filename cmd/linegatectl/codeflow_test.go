package main

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Nobody answers.
func TestLoginTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := &silent{make(chan struct{})}
		flow := newCodeFlow(&oauthClient{}, login{}, listener, nil)
		begun := time.Now()
		_, err := flow.run(t.Context())
		if err == nil || err.Error() != "no answer came within 5m0s" || time.Since(begun) != 5*time.Minute {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		<-listener.closed
	})
}

// silent is a port at which nobody knocks.
type silent struct{ closed chan struct{} }

func (s *silent) Accept() (net.Conn, error) {
	<-s.closed
	return nil, net.ErrClosed
}

func (s *silent) Close() error {
	close(s.closed)
	return nil
}

func (s *silent) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// No answer is believed without the state that was sent, and none is without
// the issuer that was asked.
func FuzzAnswer(f *testing.F) {
	const right = "state=right-state&iss=https://login.test"
	for _, query := range []string{
		right + "&code=x", right + "&error=access_denied", "code=x", "state=right-state&code=x", right + "&iss=x&code=x",
		"state=&iss=&code=", ";", "%zz", "state=right-state;code=x", "State=right-state&iss=https://login.test&code=x",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		oauth := &oauthClient{issuer: "https://login.test"}
		oauth.metadata.IssInResponse = true
		flow := &codeFlow{oauth: oauth, state: "right-state"}
		code, err := flow.code(query)
		if (code == "") != (err != nil) {
			t.Errorf("code %q, %v", code, err)
		}
		answer, _ := url.ParseQuery(query)
		if err == nil && (!slices.Equal(answer["state"], []string{"right-state"}) || !slices.Equal(answer["iss"], []string{"https://login.test"})) {
			t.Errorf("%q was believed", query)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\x00\n") {
			t.Errorf("error %q", err)
		}
	})
}
