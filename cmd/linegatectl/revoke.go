package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

type revokeFlags struct {
	admin  adminFlags
	target targetFlags

	issuedBefore, forgetAt string
	keepFor                string
	reason                 string
	yes                    bool
	output                 string
}

func newRevoke(c *console) *cobra.Command {
	var f revokeFlags
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Refuse tokens from now on, and end the sessions that live on them",
		Long: `revoke makes the gateway refuse the tokens that one of these names, and end the
sessions that live on them:

  --session ID                    the token that this session has now
  --token-file FILE               the token in a file; only its iss, id and exp are sent
  --token-id ID --issuer NAME     the token of this id
  --subject S --issuer NAME       those issued to a subject until now
  --client-id ID --issuer NAME    those issued to a client until now
  --key-id ID --issuer NAME       those signed by a key (kid or RFC 7638 thumbprint)
  --all-of-issuer --issuer NAME   all that the issuer has issued until now

NAME is the issuer's in the gateway's configuration, or its URL. The id of
--token-file is looked for in jti and uti, or with --config where that file has
it (token_id_claims).

The gateway remembers the token of --session or --token-file until it expires,
and anything else for ever, unless --for or --forget-at says when the last of the
tokens has expired. What is forgotten sooner is accepted again.

` + adminHelp,
		Example: `  linegatectl revoke --session 3OLOLF72VPAHNWTD7UCWVM3DI6 --reason 'device stolen'
  linegatectl revoke --subject alice --issuer main --for 24h
  linegatectl revoke --token-file leaked.jwt
  linegatectl revoke list
  linegatectl revoke undo ID`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(f.output); err != nil {
				return err
			}
			wanted, err := f.wanted(cmd, c)
			if err != nil {
				return err
			}
			api, err := f.admin.client(cmd, c)
			if err != nil {
				return err
			}
			return failed(f.run(cmd.Context(), c, api, wanted))
		},
	}
	flags := cmd.Flags()
	f.target.add(cmd)
	flags.StringVar(&f.issuedBefore, "issued-before", "", "`time` (RFC 3339) before which the tokens of a subject, client or issuer were issued, instead of now; one to come keeps new ones out until then")
	flags.StringVar(&f.forgetAt, "forget-at", "", "`time` (RFC 3339) when the last of the tokens has expired")
	flags.StringVar(&f.keepFor, "for", "", "the same, as a `duration` from now such as 24h")
	flags.StringVar(&f.reason, "reason", "", "`text` for the record, at most 256 bytes")
	flags.BoolVar(&f.yes, "yes", false, "really revoke all that a key has signed, or an issuer issued")
	addOutputFlag(cmd, &f.output)
	f.admin.add(cmd)
	cmd.AddCommand(newRevokeList(c), newRevokeUndo(c))
	return cmd
}

// wanted is the revocation that the flags ask for.
func (f *revokeFlags) wanted(cmd *cobra.Command, c *console) (revocation, error) {
	kind, err := f.target.kind(cmd)
	switch {
	case err != nil:
		return revocation{}, err
	case (kind == "key-id" || kind == "all-of-issuer") && !f.yes:
		return revocation{}, fmt.Errorf("--%s: keeps out and ends everybody with such a token; --yes does it", kind)
	case kind == "token-file" && f.target.tokenFile == "-" && f.admin.tokenFile == "-":
		return revocation{}, errors.New("--token-file and --admin-token-file: not both standard input")
	}
	issuedBefore, err := f.tokensBefore(cmd, kind)
	if err != nil {
		return revocation{}, err
	}
	forgetAt, err := f.forgotten(cmd, kind)
	if err != nil {
		return revocation{}, err
	}
	wanted, err := f.target.revocation(cmd, c, kind)
	if err != nil {
		return revocation{}, err
	}
	wanted.IssuedBefore, wanted.Reason = issuedBefore, f.reason
	if !forgetAt.IsZero() {
		wanted.ExpiresAt = forgetAt
	}
	return wanted, nil
}

// tokensBefore reads --issued-before, zero when it is not there.
func (f *revokeFlags) tokensBefore(cmd *cobra.Command, kind string) (time.Time, error) {
	switch {
	case !cmd.Flags().Changed("issued-before"):
		return time.Time{}, nil
	case kind != "subject" && kind != "client-id" && kind != "all-of-issuer":
		return time.Time{}, errors.New("--issued-before: only with --subject, --client-id or --all-of-issuer")
	}
	return timeOf("issued-before", f.issuedBefore)
}

// forgotten reads --for or --forget-at, zero when neither is there.
func (f *revokeFlags) forgotten(cmd *cobra.Command, kind string) (time.Time, error) {
	after, at := cmd.Flags().Changed("for"), cmd.Flags().Changed("forget-at")
	switch {
	case !after && !at:
		return time.Time{}, nil
	case after && at:
		return time.Time{}, errors.New("--for: not beside --forget-at")
	case kind == "session" || kind == "token-file":
		return time.Time{}, fmt.Errorf("--for, --forget-at: not with --%s, whose token says when it expires", kind)
	case at:
		return timeOf("forget-at", f.forgetAt)
	}
	keepFor, err := time.ParseDuration(f.keepFor)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("--for: %s is no duration such as 90m or 24h; 7 days are 168h", cell(f.keepFor))
	case keepFor <= 0:
		return time.Time{}, errors.New("--for: want more than 0")
	}
	return time.Now().Add(keepFor).UTC().Truncate(time.Second), nil
}

func timeOf(flag, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--%s: %s is no time such as 2026-01-31T12:00:00Z", flag, cell(text))
	}
	return t, nil
}

func (f *revokeFlags) run(ctx context.Context, c *console, api *adminClient, wanted revocation) error {
	var answer json.RawMessage
	err := api.call(ctx, http.MethodPost, "/v1/revocations", wanted, &answer)
	if answeredWith(err, http.StatusBadRequest) && f.target.tokenFile != "" && !wanted.ExpiresAt.After(time.Now()) {
		return fmt.Errorf("%w (the token's exp is %s)", err, wanted.ExpiresAt.Format(time.RFC3339))
	}
	if err != nil {
		return err
	}
	if f.output == outputJSON {
		return writeLines(c.stdout, []json.RawMessage{answer})
	}
	var made made
	if err := json.Unmarshal(answer, &made); err != nil {
		return fmt.Errorf("revoked, but the admin API's answer is not what this version knows: %w", err)
	}
	_, err = fmt.Fprint(c.stdout, made.text())
	return err
}

// made is a revocation as it is answered when it was made.
type made struct {
	recorded
	SessionsEnded int  `json:"sessions_ended"`
	OwnToken      bool `json:"own_token_revoked"` // the operator's is among those
}

// text tells a person what has happened, and what to do if that was a mistake.
func (m made) text() string {
	none := ""
	if m.SessionsEnded == 0 {
		none = " (none has a token that this means now)"
	}
	text := fmt.Sprintf("Revoked: %s\nSessions ended: %d%s\nForgotten: %s\nTo take it back: linegatectl revoke undo %s\n",
		m.target(), m.SessionsEnded, none, m.forgotten(), cell(m.ID))
	if !m.OwnToken {
		return text
	}
	other := "another token"
	switch {
	case m.KeyID != "":
		other = "a token by another key: by another issuer of admin.issuers, or by this one when it signs with another key"
	case !m.IssuedBefore.IsZero():
		other = "a token issued at " + m.IssuedBefore.UTC().Format(time.RFC3339) + " or later, or by another issuer of admin.issuers"
	}
	return text + "Your own token is refused from now on, too: undo takes " + other + "\n"
}
