package load

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// openSocket begins to connect.
func openSocket(p *plan) (fd int, err error) {
	family := unix.AF_INET
	if p.target.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if source := p.nextSource(); source.IsValid() {
		err = bindSource(fd, source)
	}
	if err == nil {
		err = unix.Connect(fd, sockaddr(p.target))
	}
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// bindSource binds a socket to an address. Its port is chosen with the
// connection, so that each address has all of them for every destination.
func bindSource(fd int, source netip.Addr) error {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	return unix.Bind(fd, sockaddr(netip.AddrPortFrom(source, 0)))
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// portWithConnection has the port of a bound socket chosen when it connects,
// so that each source address has all ports for every destination.
func portWithConnection(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}
