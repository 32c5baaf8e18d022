package load

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// portWithConnection has the port of a bound socket chosen when it connects,
// so that each source address has all ports for every destination.
func portWithConnection(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}

// fileLimit is how many files the process may have open.
func fileLimit() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<30))
}
