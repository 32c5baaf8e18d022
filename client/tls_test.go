package client_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/linegate/linegate/client"
)

// TLS over a real socket. A token goes only to a gateway whose certificate
// holds, and never over less than TLS 1.2.
func TestTLS(t *testing.T) {
	authority := httptest.NewUnstartedServer(http.NotFoundHandler())
	authority.StartTLS() // for its certificate, of 127.0.0.1 and example.com
	defer authority.Close()
	certificates := authority.TLS.Certificates
	roots := authority.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs

	for name, test := range map[string]struct {
		gateway *tls.Config // nil: no TLS
		client  *tls.Config
		want    string // part of the error; empty: a session
	}{
		"address in the certificate": {&tls.Config{}, &tls.Config{RootCAs: roots}, ""},
		"another name":               {&tls.Config{}, &tls.Config{RootCAs: roots, ServerName: "example.com"}, ""},
		"TLS 1.2": {
			&tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10}, "",
		},
		"TLS 1.1": {
			&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10},
			"protocol version",
		},
		"not trusted":   {&tls.Config{}, &tls.Config{}, "x509: "},
		"name mismatch": {&tls.Config{}, &tls.Config{RootCAs: roots, ServerName: "gw.test"}, "not gw.test"},
		"a plain port":  {nil, &tls.Config{RootCAs: roots}, "first record does not look like a TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := ln.Addr().String()
			if test.gateway != nil {
				test.gateway.Certificates = certificates
				ln = tls.NewListener(ln, test.gateway)
			}
			heard := make(chan string, 1)
			var served sync.WaitGroup
			served.Go(func() {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				if test.gateway == nil {
					fmt.Fprint(nc, "BYE auth_timeout action=retry :\n")
				}
				line, _ := bufio.NewReader(nc).ReadString('\n')
				heard <- line
				fmt.Fprintln(nc, okLine)
			})
			conn, err := client.Dial(t.Context(), client.Config{
				Address: address, TLS: test.client, Tokens: client.FixedToken("secret.secret.secret"),
			})
			switch {
			case err == nil:
				conn.Close()
				if test.want != "" {
					t.Error("connected")
				}
			case test.want == "" || !strings.Contains(err.Error(), test.want):
				t.Errorf("got %v, want %s", err, test.want)
			}
			ln.Close()
			served.Wait()
			if line := <-heard; strings.Contains(line, "secret") != (test.want == "") {
				t.Errorf("gateway heard %q", line)
			}
		})
	}
}
