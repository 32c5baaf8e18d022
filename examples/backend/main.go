// Command backend is a gateway with a backend of its own: it answers each
// message in capitals. It trusts the issuer of linegate-dev, which must run
// beside it (go run ./cmd/linegate-dev --issuer-only), and listens where
// linegate-dev would.
package main

import (
	"bytes"
	"context"
	"log"
	"net"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/gateway"
	"github.com/linegate/linegate/session"
)

func main() {
	socket, err := net.Listen("tcp", "127.0.0.1:8885")
	if err != nil {
		log.Fatal(err)
	}
	log.Print("listening on ", socket.Addr())
	log.Fatal(serve(context.Background(), socket, "http://127.0.0.1:8880"))
}

type capitals struct{}

func (capitals) Message(_ *session.Session, text []byte, reply *session.Reply) error {
	return reply.Line(bytes.ToUpper(text))
}

func serve(ctx context.Context, socket net.Listener, issuer string) error {
	keys := must(auth.NewRemote(auth.RemoteConfig{Name: "dev", Issuer: issuer}))
	go keys.Run(ctx)
	verifier := must(auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{{
		Name: "dev", Issuer: issuer, Keys: keys,
		Audience: []string{"linegate"}, RequiredScopes: []string{"line:connect"},
	}}}))
	sessions := must(session.NewServer(session.Config{Authenticator: verifier, Backend: capitals{}}))
	go sessions.Run(ctx)
	gw := must(gateway.New(gateway.Config{Handler: func(nc net.Conn, stranger gateway.Stranger) gateway.Conn {
		return sessions.New(nc, stranger)
	}}))
	return gw.Serve(&gateway.Listener{Listener: socket, Name: "devices"})
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
