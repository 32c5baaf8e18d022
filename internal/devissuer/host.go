package devissuer

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ownHost refuses requests for a host name that is neither the issuer's nor
// this machine's own: a foreign name that resolves to 127.0.0.1 (DNS rebinding)
// makes a foreign page look like one of the same origin.
func (s *Server) ownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != s.issuer.Host && !isLoopbackHost(r.Host) {
			http.Error(w, "only by the name of this machine", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// localOnly refuses peers from other machines.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() {
			http.Error(w, "only from this machine", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopbackHost reports whether a Host header, with or without port, is
// localhost or a loopback address.
func isLoopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
