package main

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/load"
)

// It answers the generator in every mode, plain and behind TLS.
func TestModes(t *testing.T) {
	certs := certtest.New(t)
	for name, test := range map[string]struct {
		cert, key string
		client    *tls.Config
	}{
		"plain": {},
		"tls":   {certs.Cert, certs.Key, &tls.Config{RootCAs: certs.Roots(), ServerName: "localhost"}},
	} {
		listener, err := listen("127.0.0.1:0", test.cert, test.key)
		if err != nil {
			t.Fatal(err)
		}
		go accept(listener)
		defer listener.Close()
		for _, mode := range load.Modes() {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				c := load.Config{
					Mode: mode, Protocol: load.Lines, Address: listener.Addr().String(), TLS: test.client,
					Connections: 5, Pipeline: 3, Size: 36,
				}
				if mode != load.Idle && mode != load.Storm {
					c.Count = 100
				}
				r, err := load.Run(t.Context(), c)
				if err != nil || r.Failed > 0 {
					t.Fatalf("%v, %+v", err, r)
				}
				if n, _ := r.Units(); n == 0 && mode != load.Idle {
					t.Error("nothing was done")
				}
			})
		}
	}
}

// What a person types.
func TestConversation(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	go serve(server)
	for said, want := range map[string]string{
		"ping\n":            "pong\n",
		"Hello World!\r\n":  "from server: Hello World!\n",
		"\n":                "from server: \n",
		"pings\n":           "from server: pings\n",
		"  ping\t\n":        "pong\n",
		"AUTH is nothing\n": "from server: AUTH is nothing\n",
	} {
		go client.Write([]byte(said))
		got := make([]byte, len(want))
		for n := 0; n < len(got); {
			m, err := client.Read(got[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
		if string(got) != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}
