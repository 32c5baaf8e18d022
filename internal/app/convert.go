package app

import (
	"crypto/tls"
	"net/netip"

	"github.com/linegate/linegate/gateway"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/session"
)

// What the rooms know of the configuration.

func sessionRules(cfg *config.Config) session.Rules {
	s := cfg.Session
	return session.Rules{
		AuthTimeout: s.AuthTimeout, IdleTimeout: s.IdleTimeout,
		ReauthNotice: s.ReauthNotice, WriteTimeout: s.WriteTimeout,
		MaxAuthLine: int(s.MaxAuthLine), MaxLine: int(s.MaxLine), MaxOutbound: int(s.MaxOutbound),
		LinesPerSecond: s.LinesPerSecond,
	}
}

func sessionLimits(cfg *config.Config) session.Limits {
	return session.Limits{
		SessionsPerSubject: cfg.Limits.SessionsPerSubject,
		ReplaceOldest:      cfg.Limits.OnExcess == "replace",
	}
}

func limits(cfg *config.Config) gateway.Limits {
	return gateway.Limits{Connections: cfg.Limits.Connections, Unauthenticated: cfg.Limits.Unauthenticated}
}

func timeouts(cfg *config.Config) gateway.Timeouts {
	return gateway.Timeouts{Handshake: cfg.Session.HandshakeTimeout, Write: cfg.Session.WriteTimeout}
}

// balancers are the peers that a PROXY header is expected from. Their prefixes were
// checked with the configuration.
func balancers(p *config.ProxyProtocol) []netip.Prefix {
	if p == nil {
		return nil
	}
	var all []netip.Prefix
	for _, text := range p.Trusted {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func adminTLSConfig(t config.AdminTLS) gateway.TLSConfig {
	return tlsConfig(&config.TLS{Cert: t.Cert, Key: t.Key, ClientCA: t.ClientCA})
}

func tlsConfig(t *config.TLS) gateway.TLSConfig {
	c := gateway.TLSConfig{CertFile: t.Cert, KeyFile: t.Key, ClientCAFile: t.ClientCA}
	if t.ClientCA != "" {
		c.ClientAuth = tls.RequireAndVerifyClientCert
		if t.ClientAuth == "optional" {
			c.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	return c
}
