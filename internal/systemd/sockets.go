package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
)

// socket is one that was handed over.
type socket struct {
	name string
	fd   int
}

const (
	firstSocket = 3 // SD_LISTEN_FDS_START
	maxSockets  = 1 << 16
)

// received lists the sockets by name. No process that this one starts gets them.
func received(count int, names []string) []socket {
	sockets := make([]socket, count)
	for i := range sockets {
		sockets[i] = socket{name: "unknown", fd: firstSocket + i} // as systemd calls it
		if i < len(names) && names[i] != "" {
			sockets[i].name = names[i]
		}
		syscall.CloseOnExec(sockets[i].fd)
	}
	return sockets
}

// Listeners returns the TCP sockets that were handed over under this name
// (FileDescriptorName=), once. To close one ends listening in this process
// alone: the manager has it still, and what connects waits for the next process.
func (m *Manager) Listeners(name string) ([]*net.TCPListener, error) {
	if m == nil || len(m.sockets) == 0 {
		return nil, fmt.Errorf("no socket named %.64q: none was handed over", name)
	}
	var found []*net.TCPListener
	for _, s := range m.sockets {
		if s.name != name {
			continue
		}
		l, err := s.listener()
		if err != nil {
			closeAll(found)
			return nil, fmt.Errorf("socket %.64q, descriptor %d: %w", s.name, s.fd, err)
		}
		found = append(found, l)
	}
	if found == nil {
		return nil, fmt.Errorf("no socket named %.64q: handed over were %s", name, strings.Join(m.Unused(), ", "))
	}
	m.sockets = slices.DeleteFunc(m.sockets, func(s socket) bool { return s.name == name })
	return found, nil
}

// Unused names the sockets that nobody asked for, each name once.
func (m *Manager) Unused() []string {
	if m == nil {
		return nil
	}
	var names []string
	for _, s := range m.sockets {
		names = append(names, s.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

var errNoListener = errors.New("not a listening TCP socket")

// listener takes the socket over: its descriptor is closed, the listener has
// another for the same.
func (s socket) listener() (*net.TCPListener, error) {
	if listens, err := syscall.GetsockoptInt(s.fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || listens == 0 {
		return nil, errNoListener
	}
	file := os.NewFile(uintptr(s.fd), s.name)
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		l.Close() // a Unix socket's path stays: it is not of our making
		return nil, errNoListener
	}
	return tcp, nil
}

func closeAll(listeners []*net.TCPListener) {
	for _, l := range listeners {
		l.Close()
	}
}
