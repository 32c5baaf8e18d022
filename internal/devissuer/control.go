package devissuer

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// control serves what only the developer at this machine may do. There is no
// login: the peer must be local, and a page in the developer's browser must
// not be able to act in his name.
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+controlPath+"rotate", s.serveRotate)
	return localOnly(http.NewCrossOriginProtection().Handler(mux))
}

// serveRotate rotates the keys and names those that are published after that,
// the signing one first.
func (s *Server) serveRotate(w http.ResponseWriter, _ *http.Request) {
	_, err := s.Rotate()
	if errors.Is(err, errTooManyKeys) {
		http.Error(w, err.Error(), http.StatusTooManyRequests)
		return
	}
	if err != nil {
		s.config.Log.Error("key rotation failed", "error", err)
		http.Error(w, "no new key", http.StatusInternalServerError)
		return
	}
	var published []string
	for _, key := range s.keys.published(s.config.Now()) {
		published = append(published, key.ID)
	}
	writeJSON(w, http.StatusOK, map[string]any{"signing": published[0], "published": published})
}

// localOnly refuses peers from other machines, and requests for a host name
// that is not this machine's own: a foreign name that resolves to 127.0.0.1
// (DNS rebinding) makes a foreign page look like one of the same origin.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() {
			http.Error(w, "only from this machine", http.StatusForbidden)
			return
		}
		if !isLoopbackHost(r.Host) {
			http.Error(w, "only by the name of this machine", http.StatusForbidden)
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
