package main

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// revocation is what the admin API is asked to refuse.
type revocation struct {
	Session  string `json:"session,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	TokenID  string `json:"token_id,omitempty"`
	Subject  string `json:"subject,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	KeyID    string `json:"key_id,omitempty"`
	All      bool   `json:"all,omitempty"` // of the issuer's

	IssuedBefore time.Time `json:"issued_before,omitzero"`
	ExpiresAt    time.Time `json:"expires_at,omitzero"`
	Reason       string    `json:"reason,omitempty"`
}

// recorded is a revocation that is in force.
type recorded struct {
	revocation
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy struct {
		Issuer  string `json:"issuer"`
		Subject string `json:"subject"`
	} `json:"created_by"`
}

// target says what is refused, as key=value.
func (r recorded) target() string {
	var words []string
	for _, part := range []struct{ name, value string }{
		{"issuer", r.Issuer},
		{"session", r.Session},
		{"token_id", r.TokenID},
		{"subject", r.Subject},
		{"client_id", r.ClientID},
		{"key_id", r.KeyID},
	} {
		if part.value != "" {
			words = append(words, part.name+"="+cell(part.value))
		}
	}
	if r.All {
		words = append(words, "all=true")
	}
	if !r.IssuedBefore.IsZero() {
		words = append(words, "issued_before="+r.IssuedBefore.UTC().Format(time.RFC3339))
	}
	return strings.Join(words, " ")
}

// forgotten says when it ends.
func (r recorded) forgotten() string {
	if r.ExpiresAt.IsZero() {
		return "never"
	}
	return r.ExpiresAt.UTC().Format(time.RFC3339)
}

func newRevokeList(c *console) *cobra.Command {
	var admin adminFlags
	var list listFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is revoked",
		Long: `list lists the revocations that the gateway remembers, the oldest first.

` + listHelp + `

` + adminHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := list.check(); err != nil {
				return err
			}
			api, err := admin.client(cmd, c)
			if err != nil {
				return err
			}
			return failed(list.write(cmd.Context(), c.stdout, api, "/v1/revocations", nil, revocationRows))
		},
	}
	list.add(cmd)
	admin.add(cmd)
	return cmd
}

var revocationRows = rows{
	header: []string{"ID", "CREATED", "BY", "FORGOTTEN", "REASON", "REVOKED"},
	none:   "No revocations.",
	row: func(item json.RawMessage, _ time.Time) ([]string, error) {
		var r recorded
		err := json.Unmarshal(item, &r)
		return []string{
			cell(r.ID), r.CreatedAt.UTC().Format(time.RFC3339), cell(r.CreatedBy.Subject),
			r.forgotten(), cell(r.Reason), r.target(),
		}, err
	},
}

func newRevokeUndo(c *console) *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use:   "undo ID...",
		Short: "Take revocations back",
		Long: `undo takes back revocations that were a mistake: what they refused is accepted
again. Sessions that they ended come back when their clients do.

It says of each what happened. Where there is none of an id, the others are taken
back all the same, and the exit status is 1.

` + adminHelp,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return deleteEach(cmd, c, &admin, "/v1/revocations/", ids, "revocation", "taken back")
		},
	}
	admin.add(cmd)
	return cmd
}
