package session

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/wire"
)

// TestBatchIsBounded: a client that never pauses gets its replies all the
// same, and an order to end is heeded.
func TestBatchIsBounded(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	srv := newServer(t, Config{})
	s, in, ended := connect(t, srv, client, server)
	go client.Write(bytes.Repeat([]byte("ping\n"), 1_000_000))
	for range 100_000 {
		expect(t, in, "pong")
	}
	s.End(wire.TokenRevoked, 0)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		if strings.HasPrefix(line, "BYE token_revoked ") {
			break
		}
	}
	client.Close()
	if got := <-ended; got != wire.TokenRevoked {
		t.Fatal(got)
	}
}

// TestExpiryWithinABatch: lines that came together are not all served because
// the first was in time.
func TestExpiryWithinABatch(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	clock, taken := newTestClock(), 0
	srv := castServer(t, Rules{}, clock, castAuth{now: clock.wall})
	srv.backend = slowBackend{clock, &taken}
	_, ended := serve(srv, server)
	io.WriteString(client, "AUTH alice.1\n"+strings.Repeat("x\n", 1000))
	said, err := io.ReadAll(client)
	if err != nil || !strings.Contains(string(said), "BYE token_expired ") {
		t.Fatalf("%q, %v", said, err)
	}
	client.Close()
	<-ended
	if taken > 100+messagesPerLook {
		t.Errorf("%d messages of 10 ms were served in a second", taken)
	}
}

// slowBackend needs 10 ms of its clock for a message.
type slowBackend struct {
	clock *testClock
	taken *int
}

func (b slowBackend) Message(*Session, []byte, *Reply) error {
	b.clock.add(10*time.Millisecond, 10*time.Millisecond)
	*b.taken++
	return nil
}

// TestReviewWithinABatch: lines that came together are not all served because
// the token was good when the first was.
func TestReviewWithinABatch(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	trust, taken := &castTrust{}, 0
	srv := newServer(t, Config{Authenticator: castAuth{castTrust: trust, now: time.Now}})
	srv.backend = backendFunc(func([]byte, *Reply) {
		if taken++; taken == 1 {
			trust.set("k1 withdrawn")
			if n := srv.Review(); n != 1 {
				t.Errorf("withdrew %d", n)
			}
		}
	})
	_, ended := serve(srv, server)
	io.WriteString(client, "AUTH alice.300\n"+strings.Repeat("x\n", 1000))
	said, err := io.ReadAll(client)
	if err != nil || !strings.Contains(string(said), "BYE token_revoked ") {
		t.Fatalf("%q, %v", said, err)
	}
	client.Close()
	<-ended
	if taken > messagesPerLook {
		t.Errorf("%d messages were served after the first", taken)
	}
}
