package secure

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/internal/tlstest"
)

// read waits for the socket and returns what a ReadReady of up to max bytes gives.
func read(t *testing.T, c *Conn, max int) (string, error) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, max)
	n, ended := 0, error(nil)
	if err := raw.Read(func(fd uintptr) bool {
		n, ended = c.ReadReady(int(fd), b)
		return ended != syscall.EAGAIN
	}); err != nil {
		t.Fatalf("waiting: %v", err)
	}
	return string(b[:n]), ended
}

// readAll reads until size bytes are there, or the end.
func readAll(t *testing.T, c *Conn, size, max int) (all string, err error) {
	t.Helper()
	for len(all) < size && err == nil {
		var some string
		some, err = read(t, c, max)
		all += some
	}
	return all, err
}

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// TestReadReady: data comes out as it went in, however it is cut into records and
// packets and whatever room there is for it.
func TestReadReady(t *testing.T) {
	const max = 16 << 10 // of a record
	for name, version := range versions {
		for _, tt := range []struct {
			name    string
			records []string
			room    int
		}{
			{"a record", []string{"hello"}, 4096},
			{"many records", strings.SplitAfter(strings.Repeat("hello\n", 500), "\n"), 4096},
			{"no room for one", []string{strings.Repeat("0123456789", max/10)}, 100},
			{"room for just one", []string{"hello", "world", "again"}, 5},
			{"empty records", []string{"", "hello", "", "world"}, 4096},
			{"large ones", []string{strings.Repeat("a", max), strings.Repeat("b", max), strings.Repeat("c", max)}, 4096},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				client, server := pair(t, version)
				var packet []byte
				for _, content := range tt.records {
					packet = append(packet, client.Record(tlstest.Data, content)...)
				}
				go client.Write(packet)
				want := strings.Join(tt.records, "")
				if got, err := readAll(t, server, len(want), tt.room); got != want || err != nil {
					t.Errorf("got %d bytes, %v; want %d", len(got), err, len(want))
				}
			})
		}
	}
}

// TestReadAfterFullRoom: where an earlier read left nothing but the knowledge that the
// socket was empty then, the socket is asked again: whoever waits for it may have
// been told already of what came since.
func TestReadAfterFullRoom(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t, version)
			client.Say("hello")
			if got, err := readAll(t, server, 5, 5); got != "hello" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			client.Say("world")
			awaitSocket(t, server)
			if got, err := read(t, server, 100); got != "world" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// awaitSocket waits until the socket has something to read.
func awaitSocket(t *testing.T, c *Conn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Read(func(fd uintptr) bool {
		_, _, err = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return err != syscall.EAGAIN
	}); err != nil {
		t.Fatal(err)
	}
}

// TestRecordCutAnywhere: a part of a record is nothing yet, and the rest of it is
// the record, wherever it is cut; the record behind it has come with the rest.
func TestRecordCutAnywhere(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t, version)
			for cut := 1; ; cut++ {
				record := client.Record(tlstest.Data, "hello\n")
				if cut == len(record) {
					break
				}
				client.Write(record[:cut])
				if got, err := read(t, server, 4096); got != "" || err != nil {
					t.Fatalf("cut at %d: %q, %v before the rest", cut, got, err)
				}
				client.Write(append(record[cut:], client.Record(tlstest.Data, "world\n")...))
				if got, err := readAll(t, server, len("hello\nworld\n"), 4096); got != "hello\nworld\n" || err != nil {
					t.Fatalf("cut at %d: %q, %v", cut, got, err)
				}
			}
		})
	}
}

// TestEndOfStream: what came before the end is read, and then how it ended, also
// when all came at once.
func TestEndOfStream(t *testing.T) {
	const closeNotify = "\x01\x00"
	for name, version := range versions {
		for _, tt := range []struct {
			name string
			send func(c *tlstest.Client) []byte
			want error
		}{
			{"with a close_notify", func(c *tlstest.Client) []byte { return c.Record(tlstest.Alert, closeNotify) }, io.EOF},
			{"without", func(*tlstest.Client) []byte { return nil }, io.EOF},
			{"in the middle of a record", func(c *tlstest.Client) []byte { return c.Record(tlstest.Data, "cut off")[:9] }, io.ErrUnexpectedEOF},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				client, server := pair(t, version)
				client.Write(append(client.Record(tlstest.Data, "last"), tt.send(client)...))
				client.Conn.(*net.TCPConn).CloseWrite()
				got, err := readAll(t, server, 1<<20, 4096)
				if got != "last" || !errors.Is(err, tt.want) {
					t.Errorf("got %q, %v", got, err)
				}
				if got, err := read(t, server, 4096); got != "" || err == nil {
					t.Errorf("and then %q, %v", got, err)
				}
			})
		}
	}
}

// TestWriteReady: what a client does not take stays with the connection, and a Write
// sees it off; nothing is lost or waited for before.
func TestWriteReady(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t, version)
			var want strings.Builder
			for i := 0; !server.Unsent(); i++ {
				text := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", 40_000))
				want.WriteString(text[:server.WriteReady(steady.NoFD, []byte(text))])
			}
			if n := server.WriteReady(steady.NoFD, []byte("more")); n != 0 {
				t.Fatalf("took %d bytes behind what has not gone", n)
			}
			written := make(chan error, 1)
			go func() {
				_, err := server.Write(nil)
				written <- err
			}()
			var got strings.Builder
			for got.Len() < want.Len() {
				kind, content, err := client.Next()
				if err != nil {
					t.Fatal(err)
				}
				if kind == tlstest.Data {
					got.Write(content)
				}
			}
			if got.String() != want.String() {
				t.Error("not what was written")
			}
			if err := <-written; err != nil || server.Unsent() {
				t.Errorf("%v, unsent: %t", err, server.Unsent())
			}
		})
	}
}

// TestKeyUpdates: the client's keys and, if it asks, the server's change between any
// two records.
func TestKeyUpdates(t *testing.T) {
	client, server := pair(t, tls.VersionTLS13)
	for i := range 20 {
		ask := i%2 == 0
		client.Write(append(client.KeyUpdate(ask), client.Record(tlstest.Data, "ping")...))
		if got, err := readAll(t, server, len("ping"), 4096); got != "ping" || err != nil {
			t.Fatalf("%d: %q, %v", i, got, err)
		}
		if n := server.WriteReady(steady.NoFD, []byte("pong\n")); n != len("pong\n") {
			t.Fatalf("%d: wrote %d bytes", i, n)
		}
		if got, err := client.ReadString('\n'); got != "pong\n" || err != nil {
			t.Fatalf("%d: %q, %v", i, got, err)
		}
	}
	// Updates and nothing else end the connection.
	var flood []byte
	for range 100 {
		flood = append(flood, client.KeyUpdate(false)...)
	}
	client.Write(flood)
	if got, err := readAll(t, server, 1, 4096); err == nil {
		t.Errorf("got %q", got)
	}
}

// TestReaderDoesNotWaitForWriter: a client that takes nothing and has its KeyUpdates
// answered stops whoever writes, and not whoever reads, until the answers are too
// many.
func TestReaderDoesNotWaitForWriter(t *testing.T) {
	client, server := pair(t, tls.VersionTLS13)
	written := make(chan error, 1)
	go func() {
		for {
			if _, err := server.Write(make([]byte, 16<<10)); err != nil {
				written <- err
				return
			}
		}
	}()
	for !server.Unsent() {
		time.Sleep(time.Millisecond)
	}
	for i := 0; ; i++ {
		client.Write(append(client.KeyUpdate(true), client.Record(tlstest.Data, "x")...))
		got, err := readAll(t, server, 1, 4096)
		if errors.Is(err, os.ErrDeadlineExceeded) && i > 1000 {
			break
		}
		if got != "x" || err != nil {
			t.Fatalf("%d: %q, %v", i, got, err)
		}
	}
	go io.Copy(io.Discard, client.Conn) // the writer is let go
	if err := <-written; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing ended with %v", err)
	}
}

// TestNoRenegotiation: a second ClientHello ends the connection in any version.
func TestNoRenegotiation(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t, version)
			client.Write(client.Record(tlstest.Handshake, "\x01\x00\x00\x00"))
			if got, err := readAll(t, server, 1, 4096); err == nil {
				t.Fatalf("got %q", got)
			}
			if _, err := client.ReadString('\n'); !errors.As(err, new(tls.AlertError)) {
				t.Errorf("told %v", err)
			}
		})
	}
}
