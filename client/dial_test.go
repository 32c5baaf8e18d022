package client_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/client"
)

func TestDialFailures(t *testing.T) {
	for name, test := range map[string]struct {
		gateway func(*peer)
		want    string
		after   time.Duration
	}{
		"refused": {
			func(p *peer) { p.talk("S: BYE invalid_token action=reauth :the token was refused") },
			"client: the gateway said invalid_token: the token was refused", 0,
		},
		"hung up": {
			func(p *peer) { p.nc.Close() },
			"client: connection ended without a BYE: EOF", 0,
		},
		"no answer": {
			func(*peer) {},
			"client: 127.0.0.1:8885 did not answer AUTH: context deadline exceeded", 30 * time.Second,
		},
		"what is not known is passed over": {
			func(p *peer) { p.talk("S: HELLO\nS: NOTICE x\nS: BYE draining action=retry :a\x1b[2Jb") },
			"client: the gateway said draining: a\ufffd[2Jb", 0,
		},
		"another protocol": {
			func(p *peer) { _, _ = p.nc.Write([]byte(strings.Repeat("<html>", 1000))) },
			"client: connection ended without a BYE: the gateway sent a line longer than the protocol allows", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGateway(t)
				go func() {
					p := g.accept()
					p.talk("C: AUTH token.1.x")
					test.gateway(p)
				}()
				_, err := client.Dial(t.Context(), g.config(&numbered{}))
				if err == nil || err.Error() != test.want {
					t.Errorf("got  %v\nwant %s", err, test.want)
				}
				g.at(test.after)
			})
		})
	}
}

func TestConfigErrors(t *testing.T) {
	tokens := client.FixedToken("a.b.c")
	for want, cfg := range map[string]client.Config{
		`client: configuration: address "gw": want host:port`:                                                           {Address: "gw", Tokens: tokens},
		`client: configuration: no token source`:                                                                        {Address: "127.0.0.1:1"},
		`client: configuration: address "192.0.2.1:1" is not loopback: plain TCP would send the token readable`:         {Address: "192.0.2.1:1", Tokens: tokens},
		`client: configuration: address "gw.example.com:1" is not loopback: plain TCP would send the token readable`:    {Address: "gw.example.com:1", Tokens: tokens},
		`client: configuration: address "localhost.example:1" is not loopback: plain TCP would send the token readable`: {Address: "localhost.example:1", Tokens: tokens},
	} {
		if _, err := client.Dial(t.Context(), cfg); !errors.Is(err, client.ErrConfig) || err.Error() != want {
			t.Errorf("Dial: %v\nwant %s", err, want)
		}
		if err := client.Run(t.Context(), cfg, nil); !errors.Is(err, client.ErrConfig) {
			t.Errorf("Run: %v", err)
		}
	}
}

// What could end the AUTH line early never reaches the connection, and no error
// shows it.
func TestTokensThatAreNone(t *testing.T) {
	for _, token := range []string{"", "secret\nping", "secret token", "secret=", "Bearer secret"} {
		_, err := client.Dial(t.Context(), client.Config{Address: "127.0.0.1:1", Tokens: client.FixedToken(token)})
		if err == nil || !strings.HasPrefix(err.Error(), "client: token source: not a token") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", token, err)
		}
	}
}
