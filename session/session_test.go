package session

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// TestSessions: who may look at sessions sees them as they are now.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, Config{Authenticator: castAuth{castTrust: new(castTrust), now: time.Now}})
		client, server := net.Pipe()
		opened := time.Now()
		s, ended := serve(srv, server)
		time.Sleep(time.Second)
		if len(srv.Sessions()) != 0 {
			t.Error("a stranger is listed")
		}
		in := bufio.NewReader(client)
		for _, life := range []int{300, 200} { // of the first token, and of its renewal
			fmt.Fprintf(client, "AUTH alice.%d\n", life)
			expect(t, in, "OK AUTH ")
			synctest.Wait()
			if all := srv.Sessions(); len(all) != 1 || all[0] != s || srv.Session(s.ID()) != s {
				t.Fatalf("sessions: %v", all)
			}
			if !s.Opened().Equal(opened.Add(time.Second)) || s.Remote() != "pipe" ||
				!s.Expires().Equal(time.Now().Add(time.Duration(life)*time.Second)) {
				t.Errorf("opened %v, remote %s, expires %v", s.Opened(), s.Remote(), s.Expires())
			}
			time.Sleep(10 * time.Second)
		}
		client.Close()
		<-ended
		if len(srv.Sessions()) != 0 || srv.Session(s.ID()) != nil {
			t.Error("a session that ended is listed")
		}
	})
}

// TestGoesOnElsewhere: a session that is silent is left by its goroutine, with nothing
// lost, and served by the next.
func TestGoesOnElsewhere(t *testing.T) {
	for name, pair := range transports(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := pair(t)
			defer client.Close()
			s := newServer(t, Config{}).New(server, nil)
			parts, in := make(chan wire.Code), bufio.NewReader(client)
			attend := func() { go func() { parts <- s.Attend() }() }
			handedOver := func() {
				t.Helper()
				if end := <-parts; end != 0 {
					t.Fatalf("ended for %s", end)
				}
				attend()
			}
			attend()
			io.WriteString(client, "AUTH alice\n")
			expect(t, in, "OK AUTH ")
			handedOver()
			io.WriteString(client, "hello\nhal")
			expect(t, in, "from server: hello\n")
			handedOver()
			io.WriteString(client, "f\n")
			expect(t, in, "from server: half\n")
			client.Close()
			if end := <-parts; end != wire.ClientClosed && end != wire.ClientReset {
				t.Errorf("ended for %s", end)
			}
		})
	}
}

// TestAuthenticatorPanics ends one connection, by a panic that its gateway
// counts, and leaves nothing of the session behind.
func TestAuthenticatorPanics(t *testing.T) {
	client, server := net.Pipe()
	srv := newServer(t, Config{Authenticator: panicky{}})
	panicked := make(chan any, 1)
	go func() {
		defer func() { panicked <- recover() }()
		srv.New(server, nil).Serve()
	}()
	io.WriteString(client, "AUTH a.secret.token\n")
	if said := <-panicked; said == nil || strings.Contains(fmt.Sprint(said), "secret") {
		t.Fatalf("panicked with %v", said)
	}
	if n := srv.sessions.len(); n != 0 {
		t.Fatalf("%d sessions left", n)
	}
}

type panicky struct{}

func (panicky) Verify(_ context.Context, token string, _ auth.Proof) (*auth.Identity, error) {
	panic("with " + token)
}
