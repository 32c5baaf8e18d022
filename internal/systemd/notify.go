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
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.address, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	// The manager may be busy; nobody here waits for it for long.
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(strings.Join(what, "\n")))
	return err
}
