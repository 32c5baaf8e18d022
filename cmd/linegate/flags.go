package main

import (
	"github.com/spf13/cobra"

	"github.com/linegate/linegate/internal/config"
)

// precedence ends the help of the commands that read the configuration.
const precedence = `A flag goes before
the environment, that before the file, and that before the default. The
environment has every key outside lists: session.idle_timeout is
LINEGATE_SESSION_IDLE_TIMEOUT.`

// configFlags adds the flags that set the configuration, and returns what reads
// it once they are parsed.
func (p *program) configFlags(cmd *cobra.Command) loader {
	flags := cmd.Flags()
	flags.SortFlags = false
	path := flags.String("config", "", "`file` to read, YAML (default: the one that LINEGATE_CONFIG names, or none)")
	values := map[string]func() []string{}
	one := func(name, usage string) {
		value := flags.String(name, "", usage)
		values[name] = func() []string { return []string{*value} }
	}
	several := func(name, usage string) {
		list := flags.StringArray(name, nil, usage)
		values[name] = func() []string { return *list }
	}
	one("listen", "`host:port` for devices, the only one (default 127.0.0.1:8885, with TLS 127.0.0.1:8886)")
	one("tls-cert", "certificate chain of that listener, a PEM `file`; absent: plain TCP, on loopback only")
	one("tls-key", "its private key, a PEM `file`")
	one("issuer", "`URL` of the only issuer, exactly as its tokens have it in iss")
	one("jwks-uri", "`URL` of its key set (default: discovered from the issuer)")
	several("audience", "`name` that its tokens must be for; one of those given")
	several("scope", "`scope` that its tokens must have; all of those given")
	several("token-type", "`typ` of its tokens: at+jwt, JWT or none; one of those given (default at+jwt)")
	one("ops", "`host:port` of /metrics, /healthz and /readyz (default 127.0.0.1:9885)")
	one("backend", "`kind` of what takes the messages: echo (default echo)")
	one("log-level", "least `level` that is logged: debug, info, warn or error (default info)")
	one("log-format", "`format` of the log on standard error: json or text (default json)")

	return func() (*config.Config, []config.Warning, error) {
		o := config.Options{Path: *path, Environ: p.environ, Flags: map[string][]string{}}
		for name, value := range values {
			if flags.Changed(name) {
				o.Flags[name] = value()
			}
		}
		return config.Load(o)
	}
}
