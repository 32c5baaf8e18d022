package session

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/linegate/linegate/internal/tlstest"
	"github.com/linegate/linegate/wire"
)

// TestStreamEndsWithData: the end of the stream comes in one packet with the last
// lines, to a session that was silent and to one that is hot, and so waits after
// a read that did not fill its buffer. Both answer the lines and end.
func TestStreamEndsWithData(t *testing.T) {
	for _, earlier := range []int{0, 1, 100} {
		t.Run(fmt.Sprintf("after %d lines", earlier), func(t *testing.T) {
			client, server := tcpPair(t)
			defer client.Close()
			_, in, ended := connect(t, newServer(t, Config{}), client, server)
			for range earlier {
				io.WriteString(client, "ping\n")
				expect(t, in, "pong\n")
			}
			cork(t, client)
			io.WriteString(client, "ping\nlast\n")
			if err := client.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			expect(t, in, "pong\n")
			expect(t, in, "from server: last\n")
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				t.Errorf("instead of the end: %q, %v", rest, err)
			}
			if reason := <-ended; reason != wire.ClientClosed {
				t.Errorf("ended for %v", reason)
			}
		})
	}
}

// TestStreamEndsWithDataUnderTLS is the same under TLS, with a close_notify before the
// end, without, and with a part of a record, which is dropped as a part of a line is.
func TestStreamEndsWithDataUnderTLS(t *testing.T) {
	for _, earlier := range []int{0, 1, 100} {
		for end, last := range map[string]func(*forger) []byte{
			"close_notify":     func(f *forger) []byte { return f.Record(tlstest.Alert, "\x01\x00") },
			"no close_notify":  func(*forger) []byte { return nil },
			"part of a record": func(f *forger) []byte { return f.Record(tlstest.Data, "ping\n")[:9] },
		} {
			t.Run(fmt.Sprintf("%s after %d lines", end, earlier), func(t *testing.T) {
				client, _, ended := forged(t, newServer(t, Config{}), "AUTH alice\n")
				for range earlier {
					client.Say("ping\n")
					client.expect("pong\n")
				}
				cork(t, client.Conn)
				packet := append(client.Record(tlstest.Data, "ping\n"), client.Record(tlstest.Data, "last\n")...)
				client.Write(append(packet, last(client)...))
				if err := client.Conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				client.expect("pong\n")
				client.expect("from server: last\n")
				if rest, err := client.ReadString('\n'); err != io.EOF || rest != "" {
					t.Errorf("instead of the end: %q, %v", rest, err)
				}
				if reason := <-ended; reason != wire.ClientClosed {
					t.Errorf("ended for %v", reason)
				}
			})
		}
	}
}

// cork has a socket send what is written to it together with its end.
func cork(t *testing.T, nc net.Conn) {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1)
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkPipelined is 32 pings and their pongs over loopback TCP, the client's
// share included.
func BenchmarkPipelined(b *testing.B) {
	client, server := tcpPair(b)
	defer client.Close()
	_, _, ended := connect(b, newServer(b, Config{}), client, server)
	batch := make([]byte, 0, 32*5)
	for range 32 {
		batch = append(batch, "ping\n"...)
	}
	answer := make([]byte, len(batch))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(batch); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(client, answer); err != nil {
			b.Fatal(err)
		}
	}
	client.Close()
	<-ended
}

// TestBuffersComeBack: a session that is over holds none of the buffers that all
// share; each that is lost is made anew for another login.
func TestBuffersComeBack(t *testing.T) {
	for _, said := range []string{"", "AUTH alice\n", "AUTH alice\nping\n", "AUTH alice\nhalf a line", "ping\nand more"} {
		client, server := tcpPair(t)
		s := newServer(t, Config{}).New(server, nil)
		io.WriteString(client, said)
		client.Close()
		s.Serve()
		if s.desk != nil {
			t.Errorf("after %q: %d bytes for input, %d for replies", said, cap(s.in), cap(s.reply.buf))
		}
	}
}
