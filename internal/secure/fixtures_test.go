package secure

import (
	"crypto/tls"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/internal/tcptest"
	"github.com/linegate/linegate/internal/tlstest"
)

// soon is when a connection that hangs is given up, which is a finding.
const soon = 20 * time.Second

// pair is a connection over loopback TCP, behind its handshake.
func pair(t *testing.T, version uint16) (*tlstest.Client, *Conn) {
	t.Helper()
	near, far := tcptest.Pair(t)
	server, client := certtest.New(t).Configs()
	return secured(t, near, far, version, server, client)
}

// secured brings the two ends of a connection behind their handshake.
func secured(t testing.TB, near, far net.Conn, version uint16, server, client *tls.Config) (*tlstest.Client, *Conn) {
	t.Helper()
	_ = near.SetDeadline(time.Now().Add(soon))
	c, done := handshake(far, server, tlstest.NoTurn{})
	forger := tlstest.New(t, near, version, client)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forger.Close(); c.Close() })
	return forger, c
}

// handshake begins the server's side of one.
func handshake(nc net.Conn, config *tls.Config, turn Turn) (c *Conn, done <-chan error) {
	c = Server(steady.New(nc, soon), config)
	_ = c.SetReadDeadline(time.Now().Add(soon))
	ended := make(chan error, 1)
	go func() { ended <- c.Handshake(turn) }()
	return c, ended
}

// peer is one end of a pair of sockets.
type peer struct{ *net.UnixConn }

// socketPair has no ports, of which a fuzzer would use up all, and takes in what is
// sent before anybody reads.
func socketPair(t testing.TB) (near peer, far *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "")
		nc, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = nc.(*net.UnixConn)
		t.Cleanup(func() { nc.Close() })
	}
	return peer{ends[0]}, ends[1]
}

// say sends all of it, then the end of the stream, and reads nothing.
func (p peer) say(t testing.TB, sent []byte) {
	t.Helper()
	_ = p.SetWriteDeadline(time.Now().Add(soon))
	if _, err := p.Write(sent[:min(len(sent), 150<<10)]); err != nil { // what the socket takes
		t.Fatal(err)
	}
	if err := p.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}
