package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linegate/linegate/internal/devissuer"
	"github.com/linegate/linegate/internal/mint"
)

// options are the flags, checked.
type options struct {
	help         bool // help was asked for and shown
	issuerOnly   bool
	listen       string
	listenTLS    string
	ops          string
	admin        string // empty: off
	issuerListen string
	lifetime     time.Duration
	algorithm    string
	rotateEvery  time.Duration
	clients      []devissuer.Client // nil: the default ones
	users        []devissuer.User   // likewise
	logLevel     slog.Level
}

// Where the project's other programs look for the development issuer and the
// admin API when they are not told.
const (
	defaultIssuer = "127.0.0.1:8880"
	defaultAdmin  = "127.0.0.1:9886"
)

// parseOptions reads the arguments; help goes to stdout. An error names the
// flag at fault.
func parseOptions(args []string, stdout io.Writer) (options, error) {
	var o options
	o.help = true // unless the command runs
	var level, registrations string
	command := &cobra.Command{
		Use:   "linegate-dev",
		Short: "Development issuer and gateway in one process; never for production",
		Long: `linegate-dev runs a development authorization server, the gateway (plain and TLS),
its admin API and its metrics in one process, wired together, for a laptop. It is
never for production: everybody knows its client's secret, anybody signs in with a
click, and keys, certificates and revocations last as long as the process. It
listens on loopback addresses only; port 0 takes a free one. Once everything
listens it prints where everything is.

A file for --clients looks like this; users need no password:
  {"clients": [{"client_id": "app", "client_name": "An app", "client_secret": "s",
      "grant_types": ["client_credentials", "authorization_code", "refresh_token"],
      "redirect_uris": ["http://127.0.0.1/callback"], "scope": "line:connect"}],
   "users": [{"sub": "eve", "name": "Eve"}]}
Without a client_secret the client is public. A redirect_uri on a loopback
address without a port matches every port.

Ctrl-C ends it in order, a second one at once. Exit status: 0 after a clean stop,
1 for a failure at run time, 64 for wrong usage.`,
		Args:              cobra.NoArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(*cobra.Command, []string) error {
			o.help = false
			if err := o.register(registrations); err != nil {
				return err
			}
			return o.check(level)
		},
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVar(&o.issuerOnly, "issuer-only", false, "run the authorization server alone")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8885", "the gateway's plain TCP `address`")
	flags.StringVar(&o.listenTLS, "listen-tls", "127.0.0.1:8886", "the gateway's TLS `address`")
	flags.StringVar(&o.ops, "ops", "127.0.0.1:9885", "`address` of metrics, health and readiness (HTTP)")
	flags.StringVar(&o.admin, "admin", defaultAdmin, "`address` of the admin API (HTTP); empty: off")
	flags.StringVar(&o.issuerListen, "issuer-listen", defaultIssuer, "the issuer's `address` (HTTP)")
	flags.DurationVar(&o.lifetime, "token-lifetime", devissuer.DefaultTokenLifetime, "how long a token is valid, whole seconds from 1s to 24h")
	flags.StringVar(&o.algorithm, "algorithm", devissuer.DefaultAlgorithm, "`name` of the signing algorithm: "+strings.Join(mint.Algorithms, " "))
	flags.DurationVar(&o.rotateEvery, "rotate-every", 0,
		fmt.Sprintf("time between two rotations of the signing key, at least 1s and a %dth of --token-lifetime; 0: on request only", devissuer.MaxRotations))
	flags.StringVar(&registrations, "clients", "", "JSON `file` of clients (as in RFC 7591) and users, beside the default ones")
	flags.StringVar(&level, "log-level", "info", "least `level` logged to standard error: debug info warn error")
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(io.Discard)
	return o, command.Execute()
}

// register reads the file of clients and users, if there is one.
func (o *options) register(path string) (err error) {
	if path == "" {
		return nil
	}
	if o.clients, o.users, err = devissuer.ReadRegistrations(path); err != nil {
		return fmt.Errorf("--clients: %w", err)
	}
	return nil
}

type addressFlag struct{ name, address string }

func (o options) addresses() []addressFlag {
	return []addressFlag{
		{"--listen", o.listen},
		{"--listen-tls", o.listenTLS},
		{"--ops", o.ops},
		{"--admin", o.admin},
		{"--issuer-listen", o.issuerListen},
	}
}

// check refuses what parsing alone does not.
func (o *options) check(level string) error {
	taken := map[string]string{}
	for _, flag := range o.addresses() {
		if flag.address == "" && flag.name == "--admin" {
			continue
		}
		if err := checkLoopback(flag.address); err != nil {
			return fmt.Errorf("%s %q: %w", flag.name, flag.address, err)
		}
		if other := taken[flag.address]; other != "" && !o.issuerOnly {
			return fmt.Errorf("%s %q: the address of %s", flag.name, flag.address, other)
		}
		if !strings.HasSuffix(flag.address, ":0") {
			taken[flag.address] = flag.name
		}
	}
	switch {
	case o.lifetime < time.Second || o.lifetime > 24*time.Hour || o.lifetime%time.Second != 0:
		return fmt.Errorf("--token-lifetime %v: not in whole seconds from 1s to 24h", o.lifetime)
	case !slices.Contains(mint.Algorithms, o.algorithm):
		return fmt.Errorf("--algorithm %q: none of %s", o.algorithm, strings.Join(mint.Algorithms, " "))
	case o.rotateEvery != 0 && (o.rotateEvery < time.Second || o.rotateEvery < o.lifetime/devissuer.MaxRotations):
		return fmt.Errorf("--rotate-every %v: below 1s or a %dth of --token-lifetime %v", o.rotateEvery, devissuer.MaxRotations, o.lifetime)
	}
	switch level {
	case "debug", "info", "warn", "error":
		return o.logLevel.UnmarshalText([]byte(level))
	}
	return fmt.Errorf("--log-level %q: none of debug info warn error", level)
}

// checkLoopback refuses an address that others could reach: tokens of this
// issuer are anybody's for the asking.
func checkLoopback(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("not host:port")
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return errors.New("no such port")
	}
	if host == "localhost" {
		return nil
	}
	if addr, err := netip.ParseAddr(host); err != nil || !addr.Unmap().IsLoopback() {
		return errors.New("not a loopback address; linegate-dev is never for production")
	}
	return nil
}
