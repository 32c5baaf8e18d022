package config

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Validate fills in the defaults that depend on other keys (names, addresses)
// and checks what no single key can tell. Load calls it; so does who builds a
// Config in code.
func (c *Config) Validate() ([]Warning, error) {
	var warnings []Warning
	warn := func(key, text string) {
		warnings = append(warnings, Warning(c.Where(key)+": "+text))
	}
	err := first(
		func() error { return c.validateListeners(warn) },
		c.validateOps,
		func() error { return c.validateIssuers(warn) },
		func() error { return c.validateAdmin(warn) },
		c.validateSession,
		c.validateLimits,
	)
	// systemd grants 90 s unless told otherwise, and others less.
	if total := c.Drain.Delay + c.Drain.Timeout; total >= 90*time.Second {
		warn("drain.timeout", fmt.Sprintf("a stop takes up to %s with drain.delay; the platform's grace must be longer", formatDuration(total)))
	}
	return warnings, err
}

func (c *Config) validateListeners(warn func(key, text string)) error {
	if len(c.Listen) == 0 {
		return c.refuse("listen", "at least one listener is needed")
	}
	names, addresses := unique{}, unique{}
	for i := range c.Listen {
		l, key := &c.Listen[i], element("listen", i)
		address := child(key, "address")
		if l.Address == "" && !c.isSet(address) {
			l.Address = "127.0.0.1:8885"
			if l.TLS != nil {
				l.Address = "127.0.0.1:8886"
			}
		}
		if l.Name == "" {
			l.Name = l.Address
		}
		if err := checkAddress(l.Address); err != nil {
			return c.refuse(address, "%w", err)
		}
		if l.TLS == nil && !l.InsecurePlaintext && !maybeLoopback(l.Address) {
			return c.refuse(address, "%w", errPlaintext)
		}
		if err := first(
			func() error { return c.checkName(child(key, "name"), l.Name) },
			func() error { return names.add(c, child(key, "name"), l.Name) },
			func() error { return addresses.addAddress(c, address, l.Address) },
			func() error { return c.validateTLS(child(key, "tls"), l.TLS) },
			func() error {
				return c.validateProxyProtocol(child(key, "proxy_protocol"), l.ProxyProtocol, warn)
			},
		); err != nil {
			return err
		}
	}
	return first(
		func() error { return addresses.addAddress(c, "ops.address", c.Ops.Address) },
		func() error { return addresses.addAddress(c, "admin.address", c.Admin.Address) },
	)
}

func (c *Config) validateTLS(key string, t *TLS) error {
	if t == nil {
		return nil
	}
	for _, file := range []struct{ key, path string }{{"cert", t.Cert}, {"key", t.Key}} {
		if file.path == "" {
			return c.refuse(child(key, file.key), "a TLS listener needs it: a PEM file")
		}
	}
	if t.ClientCA == "" && t.ClientAuth != "" {
		return c.refuse(child(key, "client_auth"), "needs client_ca, the authority to check against")
	}
	if t.ClientCA != "" && t.ClientAuth == "" {
		t.ClientAuth = "require"
	}
	return nil
}

func (c *Config) validateProxyProtocol(key string, p *ProxyProtocol, warn func(key, text string)) error {
	if p == nil {
		return nil
	}
	key = child(key, "trusted")
	if len(p.Trusted) == 0 {
		return c.refuse(key, "at least one prefix is needed: the addresses of the balancers")
	}
	for _, text := range p.Trusted {
		prefix, err := ParsePrefix(text)
		if err != nil {
			return c.refuse(key, "%w", err)
		}
		if prefix.Bits() == 0 {
			warn(key, fmt.Sprintf("%s lets everybody say what address they come from", prefix))
		}
	}
	return nil
}

func (c *Config) validateOps() error {
	if err := checkAddress(c.Ops.Address); err != nil {
		return c.refuse("ops.address", "%w", err)
	}
	if c.Ops.Pprof && !maybeLoopback(c.Ops.Address) {
		return c.refuse("ops.pprof", "only on loopback, and ops.address is %s", c.Ops.Address)
	}
	return nil
}

func (c *Config) validateSession() error {
	if s := &c.Session; s.MaxOutbound < s.MaxLine+KiB {
		return c.refuse("session.max_outbound", "want at least 1KiB more than session.max_line, which is %s, got %s", s.MaxLine, s.MaxOutbound)
	}
	return nil
}

func (c *Config) validateLimits() error {
	if l := &c.Limits; l.Connections > 0 && l.Unauthenticated > l.Connections {
		return c.refuse("limits.unauthenticated", "want at most limits.connections, which is %d, got %d", l.Connections, l.Unauthenticated)
	}
	return nil
}

// checkName wants what can stand in a metric label and a log line as it is.
func (c *Config) checkName(key, name string) error {
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"'\{}`, r)
	}) {
		return c.refuse(key, "want 1 to 64 letters, digits and marks without spaces or quotes, got %.64q; set name", name)
	}
	return nil
}

// unique remembers which key had a value first.
type unique map[string]string

func (u unique) add(c *Config, key, value string) error {
	if had, ok := u[value]; ok {
		return c.refuse(key, "%.64q is taken by %s", value, had)
	}
	u[value] = key
	return nil
}

// addAddress is add, for an address that is there and whose port is not picked by
// the system.
func (u unique) addAddress(c *Config, key, address string) error {
	_, handedOver := SocketName(address)
	if _, port, _ := net.SplitHostPort(address); !handedOver && strings.Trim(port, "0") == "" {
		return nil
	}
	return u.add(c, key, address)
}

// first runs checks up to the first that fails.
func first(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// oneOf refuses a value that is not in words.
func (c *Config) oneOf(key, value string, words []string) error {
	if !slices.Contains(words, value) {
		return c.refuse(key, "want one of %s, got %.64q", strings.Join(words, ", "), value)
	}
	return nil
}
