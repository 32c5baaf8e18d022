package gateway

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/linegate/linegate/internal/proxyheader"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// proxyHeader reads what a balancer says of c before anything else. A peer that is
// not one is not asked: what it sends there is its first line, or its TLS.
func (c *conn) proxyHeader(until time.Time) (failure wire.Code) {
	if !c.listener.trusts(c.nc) {
		return 0
	}
	c.awaitHeader(until)
	header, err := proxyheader.Read(c.nc)
	if code := c.endedFor(); code != 0 {
		if c.listener.TLS != nil {
			return code
		}
		return 0 // who serves it tells it so
	}
	if err != nil {
		return c.badHeader(err)
	}
	if header.Local {
		return wire.HealthCheck
	}
	_ = c.nc.SetReadDeadline(time.Time{})
	if header.Client.IsValid() {
		c.speakFor(&proxied{c.nc, header.Client})
	}
	return 0
}

// trusts reports whether nc is from somebody who says for whom it connects.
func (l *Listener) trusts(nc net.Conn) bool {
	if len(l.Proxy) == 0 {
		return false
	}
	peer, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	addr := peer.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(l.Proxy, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// awaitHeader bounds the wait, unless c was told to end already.
func (c *conn) awaitHeader(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == 0 {
		_ = c.nc.SetReadDeadline(until)
	}
}

// past is a deadline that ends a wait at once.
var past = time.Unix(1, 0)

// badHeader tells a header that is none from a peer that only looked in, as
// balancers do to see whether somebody listens.
func (c *conn) badHeader(err error) wire.Code {
	switch {
	case errors.Is(err, io.EOF):
		return wire.ClientClosed
	case errors.Is(err, syscall.ECONNRESET):
		return wire.ClientReset
	}
	c.gateway.log.Warn("PROXY header refused", slog.String("listener", c.listener.Name),
		slog.String("remote", c.nc.RemoteAddr().String()), slog.Any("error", err))
	return wire.ProxyHeader
}

func (c *conn) speakFor(nc *proxied) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nc = nc
}

// proxied is a socket with the address of whom a balancer speaks for. All else is
// the socket's own.
type proxied struct {
	net.Conn
	client netip.AddrPort
}

func (p *proxied) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.client) }

// SyscallConn gives access to the socket, where there is one.
func (p *proxied) SyscallConn() (syscall.RawConn, error) { return steady.SyscallConn(p.Conn) }

// CloseWrite ends the stream to the peer, where the connection has such a half.
func (p *proxied) CloseWrite() error { return steady.CloseWrite(p.Conn) }
