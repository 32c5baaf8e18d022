package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/linegate/linegate/gateway"
	"github.com/linegate/linegate/internal/admin"
	"github.com/linegate/linegate/session"
)

// adminServer is the admin API on its socket.
type adminServer struct {
	server *http.Server
	socket net.Listener
	tls    *gateway.TLS // nil: in clear, on loopback
}

// listenAdmin binds the admin API's socket, if one is configured.
func (a *App) listenAdmin() (err error) {
	cfg := a.cfg.Load().Admin
	if cfg.Address == "" {
		return nil
	}
	s := &adminServer{}
	if cfg.TLS.Cert != "" {
		if s.tls, err = gateway.NewTLS(adminTLSConfig(cfg.TLS)); err != nil {
			return fmt.Errorf("admin.tls: %w", err)
		}
	}
	socket, err := a.socketFor(cfg.Address, cfg.CheckSocket)
	if err != nil {
		return fmt.Errorf("admin.address: %w", err)
	}
	s.socket = newBounded(socket, adminConnections)
	s.server = admin.NewServer(admin.New(admin.Config{
		Authenticator: a.operators,
		Sessions:      adminSessions{a.sessions},
		Revocations:   a.state,
		Issuers:       a.issuers.identifiers,
		Log:           a.log,
	}), a.log)
	a.admin = s
	return nil
}

// adminConnections are open at once at most, whoever's they are: the descriptors
// that are kept back must do for fetching keys, too.
const adminConnections = 32

// AdminAddr returns the address that the admin API is bound to, nil when it is
// off.
func (a *App) AdminAddr() net.Addr {
	if a.admin == nil {
		return nil
	}
	return a.admin.socket.Addr()
}

// serve answers until stop.
func (s *adminServer) serve() error {
	if s.tls == nil {
		return s.server.Serve(s.socket)
	}
	return s.server.Serve(adminTLS{s.socket, s.tls})
}

// adminTLS gives each connection the TLS of its time, ticket keys included, which
// tls.Config.GetConfigForClient would leave as they were.
type adminTLS struct {
	net.Listener
	tls *gateway.TLS
}

func (l adminTLS) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(nc, l.tls.Config()), nil
}

// watch takes up certificates that changed, until ctx is done.
func (s *adminServer) watch(ctx context.Context, log *slog.Logger) {
	if s.tls != nil {
		s.tls.Watch(ctx, certificateInterval, log.With(slog.String("listener", "admin")))
	}
}

// stop lets requests that are under way end, for a second, or until it is late.
func (s *adminServer) stop(late time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), min(time.Second, time.Until(late)))
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close()
	}
}

// adminSessions are the sessions as the admin API knows them.
type adminSessions struct{ *session.Server }

func (s adminSessions) Sessions() []admin.Session {
	all := s.Server.Sessions()
	known := make([]admin.Session, len(all))
	for i := range all {
		known[i] = all[i]
	}
	return known
}

func (s adminSessions) Session(id string) (admin.Session, bool) {
	found := s.Server.Session(id)
	return found, found != nil
}
