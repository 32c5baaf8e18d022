package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
)

type inspectFlags struct {
	tokenFile string
	check     checkFlags
}

func newInspect(c *console) *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Explain a token, and say which of an issuer's checks it fails",
		Long: `inspect reads a token from standard input, or from --token-file, and explains
its header and claims. That needs no network and checks nothing.

Given an issuer, by --config or by --issuer, --audience and --scope, it fetches
that issuer's keys and checks the token just as the gateway does. A refusal
names the check, in the word that the metric linegate_auth_attempts_total has in
its label outcome, and the exit status is 1.

A token holds no secret, but it is a credential: whoever has it can connect with
it until it expires. Its signature is never shown.`,
		Example: `  linegatectl token | linegatectl token inspect
  linegatectl token inspect --config linegate.yaml --token-file refused.jwt
  linegatectl token | linegatectl token inspect \
      --issuer ` + devIssuer + ` --audience linegate --scope line:connect`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			check, err := f.check.load(cmd)
			if err != nil {
				return err
			}
			token, err := readToken(cmd.Context(), c, "token-file", f.tokenFile)
			if err != nil {
				return failed(err)
			}
			return failed(inspect(cmd.Context(), c.stdout, token, check))
		},
	}
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "-", "`file` whose first line is the token; - is standard input")
	f.check.add(cmd)
	return cmd
}

// inspect explains, and with check not nil also checks.
func inspect(ctx context.Context, w io.Writer, token string, check *check) error {
	explained := explain(w, token, time.Now())
	if check == nil {
		return explained
	}
	return check.run(ctx, w, token)
}
