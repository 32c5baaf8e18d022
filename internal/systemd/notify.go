package systemd

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// Watchdog returns the time in which the manager wants a sign of life; 0 where
// it wants none.
func (m *Manager) Watchdog() time.Duration {
	if m == nil {
		return 0
	}
	return m.watchdog
}

// Wanted tells whether the manager wants to be told anything.
func (m *Manager) Wanted() bool { return m != nil && m.address != "" }

// What the manager is told.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// Reloading is told before a reload, and Ready behind it.
func Reloading() string { return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic()) }

// Status is one line for people.
func Status(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}

// Tell sends the manager all of what together.
func (m *Manager) Tell(what ...string) error {
	if !m.Wanted() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	message := []byte(strings.Join(what, "\n"))
	if m.conn != nil && m.send(message) == nil {
		return nil
	}
	if err := m.connect(); err != nil {
		return err
	}
	return m.send(message)
}

// connect makes the connection that is kept, so that the watchdog hears of the
// process when there are no descriptors left, too. Called with mu held.
func (m *Manager) connect() error {
	if m.conn != nil {
		m.conn.Close()
		m.conn = nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.address, Net: "unixgram"})
	if err != nil {
		return err
	}
	m.conn = conn
	return nil
}

// send does not wait for long for a manager that is busy.
func (m *Manager) send(message []byte) error {
	if err := m.conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err := m.conn.Write(message)
	return err
}
