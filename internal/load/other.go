//go:build !linux

package load

import "syscall"

// newPollers drives plain TCP like TLS where there is no epoll.
func newPollers(_ *plan, devices []*device, tallies []*tally) (fleet, error) {
	return newStreams(devices, tallies), nil
}

func portWithConnection(_, _ string, _ syscall.RawConn) error { return nil }

// fileLimit leaves it to the system to say that a limit is reached.
func fileLimit() int { return 1 << 30 }
