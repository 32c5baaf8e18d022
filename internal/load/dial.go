package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// dial connects from the next source, and brings the connection behind TLS
// where the run has it.
func (p *plan) dial(ctx context.Context, target netip.AddrPort) (*net.TCPConn, net.Conn, error) {
	d := &net.Dialer{KeepAlive: -1}
	if source := p.nextSource(); source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		d.Control = portWithConnection
	}
	nc, err := d.DialContext(ctx, "tcp", target.String())
	if err != nil {
		return nil, nil, err
	}
	tcp := nc.(*net.TCPConn)
	if p.TLS == nil {
		return tcp, nc, nil
	}
	secure := tls.Client(nc, p.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, nil, &handshakeError{err}
	}
	return tcp, secure, nil
}

// handshakeError is a failure of TLS, unless the connection was lost.
type handshakeError struct{ error }

func (e *handshakeError) Unwrap() error { return e.error }

// resolve looks an address up once, so that no look-up is measured.
func resolve(ctx context.Context, address string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: want host:port", address)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(ips) == 0 {
		err = errors.New("no address of " + host)
	}
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ips[0].Unmap(), uint16(port)), nil
}
