package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newToken(c *console) *cobra.Command {
	var credentials credentialFlags
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Get a token by client credentials and print it",
		Long: `token gets an access token by client credentials (RFC 6749 section 4.4) and
prints it on standard output, and nothing else: it is for scripts.

  { printf 'AUTH %s\n' "$(linegatectl token)"; cat; } | nc 127.0.0.1 8885

Whoever has the token can connect with it until it expires: keep it out of
files, logs and argument lists.

` + credentialHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, err := credentials.source(c)
			if err != nil {
				return err
			}
			token, err := source.Token(cmd.Context(), false)
			if err != nil {
				return failed(fmt.Errorf("no token: %w", err))
			}
			_, err = fmt.Fprintln(c.stdout, token)
			return failed(err)
		},
	}
	credentials.add(cmd)
	cmd.AddCommand(newInspect(c))
	return cmd
}
