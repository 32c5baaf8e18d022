// Package systemd is what a service has to do with its service manager: sockets
// that were handed over (sd_listen_fds(3)), and what the manager wants to be told
// (sd_notify(3)).
package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Manager is the service manager that started this process. A nil one handed
// nothing over and is told nothing.
type Manager struct {
	address  string        // to be told at; empty: wants to be told nothing
	watchdog time.Duration // in which it wants a sign of life; 0: it does not
	sockets  []socket      // handed over, and not asked for yet

	mu   sync.Mutex
	conn *net.UnixConn // to address; nil: none yet
}

// Take reads what the manager left in the environment, and takes that out of
// there: what this process starts was not meant. It may be called once.
func Take() (*Manager, error) {
	defer func() {
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"} {
			os.Unsetenv(name)
		}
	}()
	m := &Manager{address: os.Getenv("NOTIFY_SOCKET")}
	if a := m.address; a != "" && (a[0] != '/' && a[0] != '@' || len(a) == 1) {
		return nil, fmt.Errorf("NOTIFY_SOCKET: want a path, or @ and a name, got %.64q", a)
	}
	if us := os.Getenv("WATCHDOG_USEC"); us != "" && isForUs("WATCHDOG_PID", true) {
		n, err := strconv.ParseInt(us, 10, 48)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("WATCHDOG_USEC: want microseconds, got %.64q", us)
		}
		m.watchdog = time.Duration(n) * time.Microsecond
	}
	if isForUs("LISTEN_PID", false) {
		count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
		if err != nil || count < 0 || count > maxSockets {
			return nil, fmt.Errorf("LISTEN_FDS: want a number of sockets, got %.64q", os.Getenv("LISTEN_FDS"))
		}
		m.sockets = received(count, strings.Split(os.Getenv("LISTEN_FDNAMES"), ":"))
	}
	return m, nil
}

// isForUs tells whether a variable names this process; or it is not there, and
// that will do.
func isForUs(variable string, absent bool) bool {
	pid := os.Getenv(variable)
	return pid == strconv.Itoa(os.Getpid()) || pid == "" && absent
}
