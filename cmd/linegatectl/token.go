package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newToken(c *console) *cobra.Command {
	var f sourceFlags
	var fresh bool
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print an access token: of a stored login, or by client credentials",
		Long: `token prints an access token on standard output, and nothing else: it is for
scripts.

  { printf 'AUTH %s\n' "$(linegatectl token)"; cat; } | nc 127.0.0.1 8885

Whoever has the token can connect with it until it expires: keep it out of
files, logs and argument lists.

` + sourceHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, _, err := f.source(cmd, c)
			if err != nil {
				return err
			}
			token, err := source.Token(cmd.Context(), fresh)
			if err != nil {
				return failed(fmt.Errorf("no token: %w", err))
			}
			_, err = fmt.Fprintln(c.stdout, token)
			return failed(err)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&fresh, "fresh", false, "renew the token of a login also when it would last")
	cmd.AddCommand(newInspect(c))
	return cmd
}
