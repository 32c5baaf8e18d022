package devissuer

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// matchesRedirect reports whether a redirect URI that was asked for is the
// registered one, byte for byte (RFC 9700 section 2.1); of an http URI on a
// loopback address the port is free (RFC 8252 section 7.3), as a client on this
// machine learns it late.
func matchesRedirect(registered, asked string) bool {
	if registered == asked {
		return true
	}
	origin, rest, ok := splitLoopback(registered)
	if !ok {
		return false
	}
	asked, ok = strings.CutPrefix(asked, origin+":")
	if !ok {
		return false
	}
	port, ok := strings.CutSuffix(asked, rest)
	number, err := strconv.ParseUint(port, 10, 16)
	return ok && err == nil && number > 0 && port[0] != '+'
}

// splitLoopback divides an http URI on a loopback address, without a port, at
// the end of the address.
func splitLoopback(registered string) (origin, rest string, ok bool) {
	u, err := url.Parse(registered)
	if err != nil || u.Scheme != "http" || u.Port() != "" || u.User != nil {
		return "", "", false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil || !addr.IsLoopback() {
		return "", "", false
	}
	origin = "http://" + u.Host
	rest, ok = strings.CutPrefix(registered, origin)
	return origin, rest, ok && strings.HasPrefix(rest, "/")
}

// checkRedirect refuses what must not be registered: only https, http on this
// machine, and private-use schemes with a dot in them (RFC 8252 section 7) may
// be redirected to, and never to a fragment (RFC 6749 section 3.1.2).
func checkRedirect(registered string) error {
	u, err := url.Parse(registered)
	switch {
	case err != nil || strings.ContainsFunc(registered, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("no URI")
	case strings.Contains(registered, "#"):
		return errors.New("has a fragment")
	case u.User != nil:
		return errors.New("has user information")
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "http" && isLoopbackHost(u.Host):
		return nil
	case u.Scheme != "" && strings.Contains(u.Scheme, "."):
		return nil
	}
	return errors.New("neither https, nor http on a loopback address, nor a private-use scheme with a dot")
}

// withParameters adds the parameters of an answer to a redirect URI, whose own
// query stays (RFC 6749 section 4.1.2).
func withParameters(redirect string, params url.Values) string {
	separator := "?"
	if strings.Contains(redirect, "?") {
		separator = "&"
	}
	return redirect + separator + params.Encode()
}
