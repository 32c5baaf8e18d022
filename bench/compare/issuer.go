package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/linegate/linegate/internal/mint"
)

// issuer publishes one ES256 key on loopback, and signs tokens with it.
type issuer struct {
	url    string
	key    *mint.Key
	server *http.Server
	minted int
}

func newIssuer() (*issuer, error) {
	key, err := mint.NewKey("ES256", "bench-1")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	keys := mint.JWKS(key)
	iss := &issuer{url: "http://" + listener.Addr().String(), key: key}
	iss.server = &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/jwk-set+json")
			_, _ = w.Write(keys)
		}),
	}
	go iss.server.Serve(listener)
	return iss, nil
}

const (
	audience = "bench"
	scope    = "line:connect"
)

// tokens returns n tokens of different subjects, none of which was there
// before.
func (iss *issuer) tokens(n int) ([]string, error) {
	now := time.Now()
	all := make([]string, n)
	for i := range all {
		iss.minted++
		token, err := iss.key.Token(nil, map[string]any{
			"iss": iss.url, "aud": audience, "scope": scope, "client_id": "bench",
			"sub": fmt.Sprintf("device-%d", i), "jti": fmt.Sprintf("bench-%d", iss.minted),
			"iat": now.Unix(), "exp": now.Add(2 * time.Hour).Unix(),
		})
		if err != nil {
			return nil, err
		}
		all[i] = token
	}
	return all, nil
}
