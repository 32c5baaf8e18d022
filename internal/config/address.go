package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// SocketName returns NAME of an address systemd:NAME: that of sockets which the
// service manager hands over (FileDescriptorName=).
func SocketName(address string) (name string, handedOver bool) {
	return strings.CutPrefix(address, "systemd:")
}

// checkAddress wants systemd:NAME, or host:port with a port by number; the host
// may be empty (all interfaces), a name or an IP address.
func checkAddress(address string) error {
	if name, handedOver := SocketName(address); handedOver {
		return checkSocketName(name)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.ContainsAny(host, " \t\r\n/@") {
		return fmt.Errorf("want host:port, got %.64q", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("want a port from 0 to 65535, got %.64q", address)
	}
	return nil
}

// checkSocketName wants what systemd allows as a name.
func checkSocketName(name string) error {
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == ':' }) {
		return fmt.Errorf("want systemd: and the FileDescriptorName of a socket, got %.64q", "systemd:"+name)
	}
	return nil
}

// maybeLoopback is isLoopback, and true of a socket that is handed over: where
// that listens is known, and judged, when it is there (CheckSocket).
func maybeLoopback(address string) bool {
	_, handedOver := SocketName(address)
	return handedOver || isLoopback(address)
}

// isLoopback says whether the host of host:port is this machine's own for
// certain: 127.0.0.0/8, ::1 or localhost. No host is every interface.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && isLoopbackHost(host)
}

func isLoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// ParsePrefix wants a CIDR prefix such as 192.0.2.0/24 or 2001:db8::/32, with no bit
// set behind it: who writes 192.0.2.7/24 may mean that one address.
func ParsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			return netip.Prefix{}, fmt.Errorf("want a CIDR prefix, %s/%d for this address alone, got %q", addr, addr.BitLen(), text)
		}
		return netip.Prefix{}, fmt.Errorf("want a CIDR prefix such as 192.0.2.0/24, got %.64q", text)
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("want an IPv4 prefix as such, got %q", text)
	case prefix != prefix.Masked():
		return netip.Prefix{}, fmt.Errorf("want %s, or %s/%d for that address alone, got %q", prefix.Masked(), prefix.Addr(), prefix.Addr().BitLen(), text)
	}
	return prefix, nil
}

// checkURL wants an https URL, or an http one of loopback unless insecure. The
// text of a URL that may hold a password is not repeated.
func checkURL(text string, insecure bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, errors.New("want a URL such as https://login.example.com")
	}
	switch {
	case u.User != nil:
		return nil, errors.New("a URL with a user or password in it is refused")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, errors.New("a URL with a fragment (#) is refused")
	case u.Scheme == "http" && !insecure && !isLoopbackHost(u.Hostname()):
		return nil, errors.New("http is for loopback only: use https, or set insecure_http: true")
	}
	return u, nil
}
