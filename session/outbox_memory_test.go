package session

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/steady"
)

// TestOutboxKeepsNothing: a session whose client was late to read holds no buffer,
// and has no writer, once the client has it all.
func TestOutboxKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe() // which takes nothing by itself
		s, in, ended := connect(t, newServer(t, Config{}), client, steady.New(server, time.Minute))
		for range 3 { // as large the second time as the first
			const lines = 30
			text := bytes.Repeat([]byte("x"), 8000)
			for range lines {
				if err := s.Push(text); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if n := s.out.size(); n < (lines-1)*len(text) {
				t.Fatalf("%d bytes are unsent", n)
			}
			for range lines {
				expect(t, in, "from server: xxx")
			}
			synctest.Wait()
			if s.out.backlog != nil {
				t.Errorf("it holds %+v", s.out.backlog)
			}
		}
		client.Close()
		_, _ = io.Copy(io.Discard, in)
		<-ended
	})
}
