package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/linegate/linegate/internal/config"
)

// socketsFor binds an address, or takes the sockets that were handed over for it,
// of which check has a say: where they listen nobody knew before.
func (a *App) socketsFor(address string, check func(net.Addr) error) ([]net.Listener, error) {
	name, handedOver := config.SocketName(address)
	if !handedOver {
		// Keep-alives are the protocol's: a client that says nothing for
		// idle_timeout is dropped.
		socket := net.ListenConfig{KeepAlive: -1}
		bound, err := socket.Listen(context.Background(), "tcp", address)
		return []net.Listener{bound}, err
	}
	given, err := a.manager.Listeners(name)
	if err != nil {
		return nil, err
	}
	var sockets []net.Listener
	for _, l := range given {
		sockets = append(sockets, handedOverSocket{l})
		err = errors.Join(err, check(l.Addr()))
	}
	if err != nil {
		for _, l := range sockets {
			l.Close()
		}
		return nil, err
	}
	return sockets, nil
}

// socketFor is socketsFor where one socket is wanted.
func (a *App) socketFor(address string, check func(net.Addr) error) (net.Listener, error) {
	sockets, err := a.socketsFor(address, check)
	if err != nil {
		return nil, err
	}
	for _, more := range sockets[1:] {
		more.Close()
	}
	if len(sockets) > 1 {
		sockets[0].Close()
		return nil, fmt.Errorf("want one socket, %d were handed over as %s", len(sockets), address)
	}
	return sockets[0], nil
}

// handedOverSocket accepts without the keep-alives that a socket of Go's own
// making would not have either.
type handedOverSocket struct{ *net.TCPListener }

func (s handedOverSocket) Accept() (net.Conn, error) {
	nc, err := s.AcceptTCP()
	if err != nil {
		return nil, err
	}
	_ = nc.SetKeepAlive(false) // fails where it is gone already, as reading will say
	return nc, nil
}

// tellUnused names sockets that were handed over for nothing: who connects there
// waits in vain.
func (a *App) tellUnused() {
	for _, name := range a.manager.Unused() {
		a.log.Warn("socket handed over, and no address asks for it", slog.String("name", name))
	}
}
