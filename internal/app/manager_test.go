package app

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/systemd"
)

// manager is a service manager that keeps what it is told.
type manager struct {
	*systemd.Manager // the gateway's end
	t                *testing.T
	socket           *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	address := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	t.Setenv("NOTIFY_SOCKET", address)
	taken, err := systemd.Take()
	if err != nil {
		t.Fatal(err)
	}
	return &manager{taken, t, socket}
}

func (m *manager) manage(o *Options) { o.Manager = m.Manager }

// read returns the next message.
func (m *manager) read(deadline time.Time) (string, error) {
	_ = m.socket.SetReadDeadline(deadline)
	buf := make([]byte, 512)
	n, err := m.socket.Read(buf)
	return string(buf[:n]), err
}

// told returns how each message so far begins, without those of the state alone.
func (m *manager) told() (all []string) {
	m.t.Helper()
	const end = "END=1"
	if err := m.Tell(end); err != nil {
		m.t.Fatal(err)
	}
	for {
		message, err := m.read(time.Now().Add(20 * time.Second))
		if err != nil {
			m.t.Fatal(err)
		}
		switch first, _, _ := strings.Cut(message, "\n"); {
		case first == end:
			return all
		case !strings.HasPrefix(first, "STATUS="):
			all = append(all, first)
		}
	}
}
