package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

type inspectFlags struct {
	tokenFile  string
	clientCert string
	check      checkFlags
}

func newInspect(c *console) *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Explain a token, and say which of an issuer's checks it fails",
		Long: `inspect reads a token from standard input, or from --token-file, and explains
its header and claims. That needs no network and checks nothing.

Given an issuer, by --config or by --issuer, --audience and --scope, it fetches
that issuer's keys and checks the token just as the gateway does, for a client
with the certificate of --client-cert, or with none. A refusal names the check,
in the word that the metric linegate_auth_attempts_total has in its label
outcome, and the exit status is 1. Only what an operator has revoked it does not
know.

A token holds no secret, but it is a credential: whoever has it can connect with
it until it expires. Its signature is never shown.`,
		Example: `  linegatectl token | linegatectl token inspect
  linegatectl token inspect --config linegate.yaml --token-file refused.jwt
  linegatectl token | linegatectl token inspect \
      --issuer ` + devIssuer + ` --audience linegate --scope line:connect`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			check, err := f.load(cmd, c)
			if err != nil {
				return err
			}
			line, err := readLine(cmd.Context(), c, "token-file", f.tokenFile)
			if err != nil {
				return failed(err)
			}
			return failed(inspect(cmd.Context(), c, tokenOf(line), check))
		},
	}
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "-", "`file` whose first line is the token; - is standard input")
	cmd.Flags().StringVar(&f.clientCert, "client-cert", "", "PEM `file` of the client's certificate, for a token that is bound to one")
	f.check.add(cmd)
	return cmd
}

// load returns nil when nothing is to be checked.
func (f *inspectFlags) load(cmd *cobra.Command, c *console) (*check, error) {
	check, err := f.check.load(cmd)
	if err != nil {
		return nil, err
	}
	switch {
	case check == nil && f.clientCert != "":
		return nil, errors.New("--client-cert: nothing is checked without an issuer: give --config, or --issuer")
	case check == nil:
		return nil, nil
	}
	check.now = c.clock
	if f.clientCert == "" {
		return check, nil
	}
	check.proof.Certificate, err = certificateIn(f.clientCert)
	return check, failed(err)
}

// certificateIn returns the first certificate in a PEM file.
func certificateIn(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--client-cert: %w", err)
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("--client-cert: %s: %w", file, err)
		}
		return block.Bytes, nil
	}
	return nil, fmt.Errorf("--client-cert: %s has no PEM certificate", file)
}

// inspect explains, and with check not nil also checks. White space around a
// token is no matter for an explanation, but it is for a gateway.
func inspect(ctx context.Context, c *console, token string, check *check) error {
	explained := explain(c.stdout, strings.TrimSpace(token), c.clock())
	if check == nil {
		return explained
	}
	return check.run(ctx, c.stdout, token)
}
