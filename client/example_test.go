package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

// One session: send a line, read the answer.
func ExampleDial() {
	gateway := exampleGateway()
	defer gateway.Close()

	ctx := context.Background()
	conn, err := client.Dial(ctx, client.Config{
		Address: gateway.Addr().String(),
		Tokens:  client.FixedToken("header.claims.signature"),
		// On a network: TLS: &tls.Config{RootCAs: ...}
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Send(ctx, []byte("Hello World!")); err != nil {
		log.Fatal(err)
	}
	reply, err := conn.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", conn.Session().Subject, reply.Text)
	// Output: device-7: Hello World!
}

// A device that stays connected. The token comes from the authorization
// server, is renewed in band, and whatever ends the session leads to the next.
func ExampleRun() {
	gateway := exampleGateway()
	defer gateway.Close()

	var tokens client.TokenSource
	tokens, err := client.NewClientCredentials(client.CredentialsConfig{
		Issuer:       "https://login.example.com",
		ClientID:     "device-7",
		ClientSecret: "from a file that only the device reads",
		Scopes:       []string{"line:connect"},
	})
	if err != nil {
		log.Fatal(err)
	}
	tokens = client.FixedToken("header.claims.signature") // this example has no such server

	ctx, cancel := context.WithCancel(context.Background())
	err = client.Run(ctx, client.Config{
		Address: gateway.Addr().String(),
		Tokens:  tokens,
		Hooks: client.Hooks{Waiting: func(w client.Wait) {
			log.Printf("%v: trying again in %v", w.Err, w.For)
		}},
	}, func(ctx context.Context, conn *client.Conn) error {
		if err := conn.Send(ctx, []byte("temperature 21.5")); err != nil {
			return err
		}
		for {
			reply, err := conn.Receive(ctx)
			if err != nil {
				return err // Run knows whether, when and how to come back
			}
			if reply.Verb == wire.Data {
				fmt.Printf("%s\n", reply.Text)
				cancel() // a device would go on
			}
		}
	})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// temperature 21.5
	// true
}

// exampleGateway accepts every token and echoes every line.
func exampleGateway() net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if strings.HasPrefix(lines.Text(), "AUTH ") {
						fmt.Fprintln(conn, "OK AUTH v=1 sub=device-7 session=1 expires_in=300 reauth_in=240 idle_timeout=30 max_line=8192")
						continue
					}
					fmt.Fprintf(conn, "from server: %s\n", lines.Text())
				}
			}()
		}
	}()
	return ln
}
