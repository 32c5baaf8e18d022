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
			if s.out.failure() != nil || len(s.out.pending)+s.out.inFlight < (lines-1)*len(text) || !s.out.writing {
				t.Fatalf("%d and %d bytes are unsent, writing: %t", len(s.out.pending), s.out.inFlight, s.out.writing)
			}
			for range lines {
				expect(t, in, "from server: xxx")
			}
			synctest.Wait()
			if s.out.pending != nil || s.out.inFlight != 0 || s.out.writing {
				t.Errorf("it holds %d bytes, %d are in flight, writing: %t", cap(s.out.pending), s.out.inFlight, s.out.writing)
			}
		}
		client.Close()
		_, _ = io.Copy(io.Discard, in)
		<-ended
	})
}
