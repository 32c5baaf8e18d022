package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linegate/linegate/internal/load"
)

type benchFlags struct {
	source    sourceFlags
	transport transportFlags
	tokens    string
	protocol  string
	noAuth    bool
	sources   string
	cutBy     string
	strangers int
	at        string
	output    string
	chart     string
	load.Config
}

func newBench(c *console) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench MODE [ADDRESS]",
		Short: "Load a gateway, and measure how it answers",
		Long: `bench opens many sessions with the gateway at ADDRESS (host:port, default
` + defaultGateway + `), and measures how they are served. MODE is

  ping   each session pings; the next ping follows the pong
  echo   each session sends a message of --size bytes; the next follows its echo
  idle   the sessions are opened and held, pinging as rarely as they may
  login  each connection logs in and goes, and the next one comes
  storm  all sessions are cut at once and come back as fast as they are let

It is a closed loop: who waits for an answer asks nothing more, so a slow gateway
gets less load. --rate sets the times instead, and latencies then count from
when a message was due. Every answer is checked. Whoever is told by a BYE to
retry does so when the BYE says; that is counted, and no failure.

Progress goes to standard error once a second. The status is 1 when a connection
failed.

The tokens come from --tokens, or a single one for all from a stored login or by
client credentials. Other servers can be measured in the same way:
--no-auth for one that speaks lines without AUTH, --protocol redis (its password
is the token) or nats. Plain TCP is driven by few threads (--threads); under TLS
each connection has a goroutine, and the generator's own work is a larger part.

` + sourceHelp,
		Example: `  linegatectl bench ping
  linegatectl bench echo --connections 1000 --pipeline 32 --duration 30s --tokens tokens.txt
  linegatectl bench login --tokens tokens.txt --count 100000 --output json
  linegatectl bench storm --connections 18000 --tokens tokens.txt --chart storm.svg
  linegatectl bench ping --connections 1000 --tokens tokens.txt --strangers 2000
  linegatectl bench idle --connections 10000 --pid "$(pidof linegate)" --ca-file ca.pem 127.0.0.1:8886
  linegatectl bench ping --protocol redis --tokens password.txt 127.0.0.1:6379`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Address = defaultGateway
			if len(args) > 1 {
				f.Address = args[1]
			}
			if f.Mode = load.Mode(args[0]); !slices.Contains(load.Modes(), f.Mode) {
				return fmt.Errorf("no mode %q: want ping, echo, idle, login or storm", args[0])
			}
			return f.run(cmd, c)
		},
	}
	f.source.add(cmd)
	f.transport.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.tokens, "tokens", "", "`file` with a token on each line; session n logs in with the n-th, in mode login the n-th login; after the last comes the first")
	flags.StringVar(&f.protocol, "protocol", string(load.Linegate), "`name` of what the server speaks: linegate, lines (without AUTH), redis, resp (the same with PING as an array) or nats")
	flags.BoolVar(&f.noAuth, "no-auth", false, "the same as --protocol lines")
	flags.IntVar(&f.Connections, "connections", 100, "`number` of connections")
	flags.IntVar(&f.Pipeline, "pipeline", 1, "`number` of messages in one write; the next ones follow when all are answered")
	flags.IntVar(&f.Size, "size", 36, "`bytes` of a message in mode echo")
	flags.DurationVar(&f.Duration, "duration", 10*time.Second, "how long to measure, and to hold in mode idle; without limit beside --count")
	flags.IntVar(&f.Count, "count", 0, "`number` of messages, or logins, to end after")
	flags.DurationVar(&f.Warmup, "warmup", 0, "how long to do the same before anything is measured")
	flags.IntVar(&f.Rate, "rate", 0, "`number` of messages a second in all, at regular times (default: as fast as they are answered)")
	flags.IntVar(&f.AtOnce, "at-once", 0, "`number` of connections on their way in at once (default 100; all, for those that come back in mode storm)")
	flags.IntVar(&f.Threads, "threads", 0, "`number` of threads for plain TCP (default: half of the cores)")
	flags.StringVar(&f.sources, "source", "", "`prefix` of IPv4 addresses to connect from in turn, so that ports suffice (default on Linux: 127.0.0.0/8 to an ADDRESS in it)")
	flags.DurationVar(&f.Timeout, "timeout", 30*time.Second, "how long to wait for one answer, and for all sessions to be in")
	flags.IntVar(&f.PID, "pid", 0, "process `ID` of the server on this machine, to report its CPU time and memory (RssAnon)")
	flags.StringVar(&f.cutBy, "cut-by", "bench", "`who` cuts the sessions in mode storm: bench, by resets, or server, which you then restart")
	flags.IntVar(&f.strangers, "strangers", 0, "`number` of logins a second beside, with tokens of a wrong signature; in the modes ping and echo")
	flags.StringVar(&f.at, "strangers-at", "", "`address` that they log in at, if it is another gateway")
	flags.StringVar(&f.output, "output", "text", "`form` of the result: text or json")
	flags.StringVar(&f.chart, "chart", "", "SVG `file` to draw the result to: latencies by percentile, a storm's return, or memory by sessions")
	return cmd
}

func (f *benchFlags) run(cmd *cobra.Command, c *console) error {
	if err := f.complete(cmd, c); err != nil {
		return err
	}
	if f.chart != "" { // rather before the run than after it
		if err := os.WriteFile(f.chart, nil, 0o644); err != nil {
			return failed(fmt.Errorf("--chart: %w", err))
		}
	}
	f.Progress = func(p load.Progress) {
		fmt.Fprintf(c.stderr, "linegatectl: %.0f s, %s: %d messages, %d logins, %d failures, %d told to retry\n",
			p.Elapsed.Seconds(), p.Phase, p.Messages, p.Logins, p.Errors, p.Retries)
	}
	if f.Strangers != nil {
		// Their goroutines must not keep the poller from its core: that is for
		// the kernel to share out, as it does with the server.
		runtime.GOMAXPROCS(runtime.NumCPU() + 2)
	}
	result, err := load.Run(cmd.Context(), f.Config)
	switch {
	case errors.Is(err, context.Canceled):
		return failed(errors.New("interrupted"))
	case err != nil:
		return failed(err)
	}
	if f.chart != "" {
		if err := os.WriteFile(f.chart, result.Chart().SVG(), 0o644); err != nil {
			return failed(fmt.Errorf("--chart: %w", err))
		}
	}
	if err := f.report(c, result); err != nil {
		return failed(err)
	}
	if why := result.Failures(); why != "" {
		return failed(errors.New(why))
	}
	return nil
}

func (f *benchFlags) report(c *console, result *load.Result) error {
	if f.output == "text" {
		return result.WriteText(c.stdout)
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%s\n", text)
	return err
}

// complete turns the flags into the configuration of a run.
func (f *benchFlags) complete(cmd *cobra.Command, c *console) (err error) {
	if err := f.transport.check(); err != nil {
		return err
	}
	switch {
	case f.output != "text" && f.output != "json":
		return fmt.Errorf("--output: %q is neither text nor json", f.output)
	case f.cutBy != "bench" && f.cutBy != "server":
		return fmt.Errorf("--cut-by: %q is neither bench nor server", f.cutBy)
	case f.Pipeline < 1: // load takes 0 for 1, and for 30 s
		return errors.New("--pipeline: want at least 1")
	case f.Timeout <= 0:
		return errors.New("--timeout: want more than 0")
	case f.noAuth && cmd.Flags().Changed("protocol"):
		return errors.New("--no-auth: not beside --protocol")
	case f.strangers == 0 && f.at != "":
		return errors.New("--strangers-at: only with --strangers")
	case f.chart != "" && f.Mode == load.Idle && f.PID == 0:
		return errors.New("--chart: in mode idle only with --pid")
	}
	f.Protocol, f.CutByServer = load.Protocol(f.protocol), f.cutBy == "server"
	if f.noAuth {
		f.Protocol = load.Lines
	}
	if f.Count > 0 && !cmd.Flags().Changed("duration") {
		f.Duration = 0
	}
	if f.TLS, err = f.transport.tlsConfig(f.Address); err != nil {
		return err
	}
	if f.Source, err = f.prefix(); err != nil {
		return err
	}
	if f.strangers != 0 {
		f.Strangers = &load.Strangers{Rate: f.strangers, Address: f.at}
	}
	withTokens := f.Config
	withTokens.Tokens = []string{"some"}
	if err := withTokens.Check(); err != nil { // before anybody is asked for a token
		return fmt.Errorf("--%w", err)
	}
	if f.Tokens, err = f.loadTokens(cmd, c); err != nil {
		return err
	}
	if err := f.Check(); err != nil {
		return fmt.Errorf("--%w", err)
	}
	return nil
}

// prefix returns the addresses to connect from.
func (f *benchFlags) prefix() (netip.Prefix, error) {
	if f.sources != "" {
		prefix, err := netip.ParsePrefix(f.sources)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("--source: %q is no prefix such as 127.0.0.0/8", f.sources)
		}
		return prefix, nil
	}
	loopback := netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)
	host, _, _ := net.SplitHostPort(f.Address)
	if ip, err := netip.ParseAddr(host); err == nil && loopback.Contains(ip) && runtime.GOOS == "linux" {
		return loopback, nil
	}
	return netip.Prefix{}, nil
}

// loadTokens returns the tokens, of which there may be none where nobody asks.
func (f *benchFlags) loadTokens(cmd *cobra.Command, c *console) ([]string, error) {
	switch {
	case f.tokens != "":
		if err := f.source.refuseBeside("--tokens", cmd); err != nil {
			return nil, err
		}
		return tokensFrom(f.tokens)
	case f.Protocol != load.Linegate:
		return nil, nil
	}
	source, stored, err := f.source.source(cmd, c)
	if err != nil {
		return nil, err
	}
	if stored != nil {
		fmt.Fprintf(c.stderr, "linegatectl: using the %s\n", stored)
	}
	token, err := source.Token(cmd.Context(), false)
	if err != nil {
		return nil, failed(fmt.Errorf("no token: %w", err))
	}
	return []string{token}, nil
}

// tokensFrom reads a file of tokens, one on a line; empty lines are left out.
func tokensFrom(name string) ([]string, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, failed(fmt.Errorf("--tokens: %w", err))
	}
	tokens := strings.Fields(string(content))
	if len(tokens) == 0 {
		return nil, failed(fmt.Errorf("--tokens: %s has no token", name))
	}
	return tokens, nil
}
