package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linegate/linegate/client"
)

const defaultGateway = "127.0.0.1:8885"

type connectFlags struct {
	source    sourceFlags
	transport transportFlags
	tokenFile string
	stay      bool
}

func newConnect(c *console) *cobra.Command {
	var f connectFlags
	cmd := &cobra.Command{
		Use:   "connect [ADDRESS]",
		Short: "Open a session with a gateway and show the conversation",
		Long: `connect gets a token, opens a session with the gateway at ADDRESS (host:port,
default ` + defaultGateway + `), sends each line of standard input and shows the
conversation: "> " is sent, "< " received, and what cannot be shown is escaped.
The token is never shown. What linegatectl itself has to say goes to standard
error.

It pings every 10 s, or three times in the gateway's idle time-out, and renews
its token when the gateway's reauth_in comes. When the session ends it connects
again, when and as the gateway's action says, and tells why: retry after a
jittered back-off from 1 s to 5 min, reauth with a new token, fix and none after
an hour.

At the end of standard input it waits until all that was sent is answered, and
ends with status 0, unless --stay is given. When the connection is lost after
that end, it is not tried again: the status is 1.

Connections are encrypted with TLS (1.2 or later) unless ADDRESS is loopback.

The token comes from --token-file, from a stored login, or by client
credentials.

` + sourceHelp,
		Example: `  linegatectl connect
  linegatectl connect --ca-file ca.pem 127.0.0.1:8886
  linegatectl connect --client-cert device.pem --client-key device.key gateway.example.com:8886
  linegatectl connect --token-file /run/device/token gateway.example.com:8886
  echo 'Hello World!' | linegatectl connect`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			address := defaultGateway
			if len(args) > 0 {
				address = args[0]
			}
			return f.run(cmd, c, address)
		},
	}
	flags := cmd.Flags()
	f.source.add(cmd)
	f.transport.add(cmd)
	flags.StringVar(&f.tokenFile, "token-file", "", "`file` whose first line is the token, read again for each renewal; - is standard input, whose first line it is then")
	flags.BoolVar(&f.stay, "stay", false, "stay connected after the end of standard input, until interrupted")
	return cmd
}

// check refuses flags that contradict each other.
func (f *connectFlags) check(cmd *cobra.Command) error {
	if f.tokenFile != "" {
		if err := f.source.refuseBeside("--token-file", cmd); err != nil {
			return err
		}
	}
	return f.transport.check()
}

func (f *connectFlags) run(cmd *cobra.Command, c *console, address string) error {
	tlsConfig, err := f.transport.tlsConfig(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	in := startInput(ctx, c.stdin)
	tokens, err := f.tokens(ctx, cmd, c, in)
	if err != nil {
		return err
	}
	talk := &conversation{
		console: c,
		in:      in,
		stay:    f.stay,
		giveUp:  cancel,
		plain:   tlsConfig == nil,
		cert:    f.transport.cert,
		renewed: f.renewed(),
	}
	return talk.run(ctx, client.Config{
		Address:           address,
		TLS:               tlsConfig,
		InsecurePlaintext: f.transport.insecure,
		Tokens:            tokens,
	})
}

// renewed says which token comes next when the gateway wants another.
func (f *connectFlags) renewed() string {
	switch f.tokenFile {
	case "":
		return "a new token"
	case "-":
		return "the same token"
	}
	return "--token-file's token"
}

// tokens returns the token source; one that reads standard input takes its
// first line.
func (f *connectFlags) tokens(ctx context.Context, cmd *cobra.Command, c *console, in *input) (client.TokenSource, error) {
	switch f.tokenFile {
	case "":
		source, stored, err := f.source.source(cmd, c)
		if stored != nil {
			fmt.Fprintf(c.stderr, "linegatectl: using the %s\n", stored)
		}
		return source, err
	case "-":
		select {
		case line := <-in.lines:
			if line = strings.TrimSpace(line); line == "" {
				return nil, failed(errors.New("--token-file -: the first line of standard input has no token"))
			}
			return client.FixedToken(line), nil
		case <-ctx.Done():
			return nil, nil
		}
	}
	return client.TokenFile(f.tokenFile), nil
}
