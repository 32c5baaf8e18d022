package session

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// TestRenewalBesideAFlood: a session renews while a thousand strangers wait for
// the only worker of a real verifier. Its answer is the next that anybody gets,
// after that of the stranger whose token was being verified already.
func TestRenewalBesideAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const strangers = 1000
		iss := authtest.New(t)
		c := iss.Config()
		gate := &gatedKeys{KeySource: c.Keys, one: make(chan struct{})}
		c.Keys = gate
		verifier, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{c}, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		srv := newServer(t, Config{
			Authenticator: struct{ Authenticator }{verifier}, // nobody is remembered, or reviewed
			Rules:         Rules{AuthTimeout: time.Hour, IdleTimeout: time.Hour},
		})
		var ended sync.WaitGroup
		serve := func() (client net.Conn) {
			client, server := net.Pipe()
			ended.Go(func() { srv.New(server, nil).Serve() })
			return client
		}

		device := serve()
		in := bufio.NewReader(device)
		fmt.Fprintf(device, "AUTH %s\n", iss.Token())
		expect(t, in, "OK AUTH ")
		gate.closed.Store(true)

		stranger := "AUTH " + iss.Token(authtest.Sub("a stranger")) + "\n"
		var answered atomic.Int32
		for range strangers {
			client := serve()
			go func() {
				defer client.Close()
				io.WriteString(client, stranger)
				line, err := bufio.NewReader(client).ReadString('\n')
				if err != nil || !strings.HasPrefix(line, "OK AUTH ") {
					t.Errorf("a stranger: %q, %v", line, err)
				}
				answered.Add(1)
			}()
		}
		synctest.Wait() // the first is being verified, the others wait
		var renewed atomic.Bool
		go func() {
			fmt.Fprintf(device, "AUTH %s\n", iss.Token())
			line, err := in.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "OK AUTH ") {
				t.Errorf("the renewal: %q, %v", line, err)
			}
			renewed.Store(true)
		}()
		synctest.Wait()
		if renewed.Load() || answered.Load() > 0 {
			t.Error("somebody was answered by a worker that stands still")
		}
		gate.one <- struct{}{}
		synctest.Wait()
		if n := answered.Load(); renewed.Load() || n != 1 {
			t.Errorf("%d strangers were answered first, want the one whose turn it was", n)
		}
		gate.one <- struct{}{}
		synctest.Wait()
		if n := answered.Load(); !renewed.Load() || n != 1 {
			t.Errorf("then %d strangers, renewed: %t", n, renewed.Load())
		}
		gate.closed.Store(false)
		gate.one <- struct{}{}
		device.Close()
		ended.Wait()
		synctest.Wait()
		if n := answered.Load(); n != strangers {
			t.Errorf("%d of %d strangers were answered", n, strangers)
		}
	})
}

// gatedKeys stop the worker that looks for a key while they are closed, and let
// one at a time go on.
type gatedKeys struct {
	auth.KeySource
	closed atomic.Bool
	one    chan struct{}
}

func (k *gatedKeys) Current() *auth.KeySet {
	if k.closed.Load() {
		<-k.one
	}
	return k.KeySource.Current()
}
