package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
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
			token, err := f.read(cmd.Context(), c)
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

// read reads the token. Reading standard input cannot be interrupted, so ctx
// only ends the wait for it.
func (f *inspectFlags) read(ctx context.Context, c *console) (string, error) {
	from, r := "standard input", c.stdin
	if f.tokenFile != "-" {
		file, err := os.Open(f.tokenFile)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer file.Close()
		from, r = f.tokenFile, file
	}
	type line struct {
		text string
		err  error
	}
	done := make(chan line, 1)
	go func() {
		text, err := firstLine(r)
		done <- line{text, err}
	}()
	select {
	case l := <-done:
		if l.err != nil {
			return "", fmt.Errorf("%s: %w", from, l.err)
		}
		// Somebody who pastes an AUTH line means the token.
		return strings.TrimPrefix(strings.TrimSpace(l.text), "AUTH "), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// inspect explains, and with check not nil also checks.
func inspect(ctx context.Context, w io.Writer, token string, check *check) error {
	explained := explain(w, token, time.Now())
	if check == nil {
		return explained
	}
	return check.run(ctx, w, token)
}
