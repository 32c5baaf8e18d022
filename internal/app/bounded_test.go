package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
)

// TestBounded: what is above the bound is accepted when another has closed, and
// once for each, however often that is closed.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBounded(endless{}, 2)
		var accepted []net.Conn
		var ended error
		go func() {
			for {
				nc, err := b.Accept()
				if err != nil {
					ended = err
					return
				}
				accepted = append(accepted, nc)
			}
		}()
		want := func(n int) {
			t.Helper()
			if synctest.Wait(); len(accepted) != n {
				t.Fatalf("%d accepted, want %d", len(accepted), n)
			}
		}
		want(2)
		first := accepted[0]
		first.Close()
		first.Close()
		want(3)
		if b.Close(); b.Close() != nil {
			t.Error("closed twice: an error")
		}
		if synctest.Wait(); !errors.Is(ended, net.ErrClosed) {
			t.Errorf("Accept, while it waits for room and is closed: %v", ended)
		}
	})
}

// TestBoundedAcceptFails: a connection that could not be accepted takes no room.
func TestBoundedAcceptFails(t *testing.T) {
	b := newBounded(failing{}, 1)
	for range 3 { // would wait for ever
		if _, err := b.Accept(); !errors.Is(err, errAccept) {
			t.Fatal(err)
		}
	}
}

// endless has connections without end.
type endless struct{ net.Listener }

func (endless) Accept() (net.Conn, error) {
	nc, _ := net.Pipe()
	return nc, nil
}

func (endless) Close() error { return nil }

type failing struct{ net.Listener }

var errAccept = errors.New("no descriptor left")

func (failing) Accept() (net.Conn, error) { return nil, errAccept }

// TestAdminConnections: operators' connections are kept, and a stranger's is
// closed with the answer, so that strangers leave them room.
func TestAdminConnections(t *testing.T) {
	r := start(t, withAdmin)
	r.waitReady()
	ask := func(token string) (answer *http.Response) {
		t.Helper()
		nc, err := net.Dial("tcp", r.AdminAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		fmt.Fprintf(nc, "GET /v1/sessions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\n\r\n", token)
		if answer, err = http.ReadResponse(bufio.NewReader(nc), nil); err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		return answer
	}
	for range adminConnections - 1 {
		if answer := ask(r.operator()); answer.StatusCode != http.StatusOK || answer.Close {
			t.Fatalf("an operator: status %d, to be closed: %v", answer.StatusCode, answer.Close)
		}
	}
	// There is room for one, and each of these is answered.
	for _, token := range []string{"", "no-token", r.issuer.Token()} {
		if answer := ask(token); answer.StatusCode == http.StatusOK || !answer.Close {
			t.Fatalf("a stranger: status %d, to be closed: %v", answer.StatusCode, answer.Close)
		}
	}
	if _, is := r.App.admin.socket.(*bounded); !is {
		t.Error("the listener has no bound")
	}
}
