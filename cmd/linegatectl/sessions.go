package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newSessions(c *console) *cobra.Command {
	var admin adminFlags
	var list listFlags
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List the sessions of a gateway",
		Long: `sessions lists the sessions that a gateway has, in the order of their ids: all,
or those that have just the values given.

` + listHelp + `
A session has session, issuer (the configured name), subject, client_id, scopes,
key_id, token_id, remote, opened_at and expires_at there.

` + adminHelp,
		Example: `  linegatectl sessions
  linegatectl sessions --issuer main --subject alice
  linegatectl sessions --client-id meter --output json | jq -r .session | xargs -r linegatectl kick`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := list.check(); err != nil {
				return err
			}
			api, err := admin.client(cmd, c)
			if err != nil {
				return err
			}
			return failed(list.write(cmd.Context(), c.stdout, api, "/v1/sessions", sessionFilter(cmd), sessionRows))
		},
	}
	flags := cmd.Flags()
	flags.String("issuer", "", "only sessions of the issuer with this configured `name`, or iss")
	flags.String("subject", "", "only sessions of this `subject`")
	flags.String("client-id", "", "only sessions of the client with this `ID`")
	flags.String("key-id", "", "only sessions whose token the key with this `ID` has signed")
	flags.String("token-id", "", "only sessions with the token of this `ID`")
	list.add(cmd)
	admin.add(cmd)
	return cmd
}

// sessionFilter returns the parameters of the flags that were given. One that
// is empty finds the sessions that have none.
func sessionFilter(cmd *cobra.Command) url.Values {
	filter := url.Values{}
	for _, name := range []string{"issuer", "subject", "client-id", "key-id", "token-id"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed {
			filter.Set(strings.ReplaceAll(name, "-", "_"), flag.Value.String())
		}
	}
	return filter
}

var sessionRows = rows{
	header: []string{"SESSION", "ISSUER", "SUBJECT", "CLIENT", "KEY", "REMOTE", "OPEN-FOR", "EXPIRES-IN"},
	none:   "No sessions.",
	row: func(item json.RawMessage, now time.Time) ([]string, error) {
		var s struct {
			Session   string    `json:"session"`
			Issuer    string    `json:"issuer"`
			Subject   string    `json:"subject"`
			ClientID  string    `json:"client_id"`
			KeyID     string    `json:"key_id"`
			Remote    string    `json:"remote"`
			OpenedAt  time.Time `json:"opened_at"`
			ExpiresAt time.Time `json:"expires_at"`
		}
		err := json.Unmarshal(item, &s)
		return []string{
			cell(s.Session), cell(s.Issuer), cell(s.Subject), cell(s.ClientID), cell(s.KeyID), cell(s.Remote),
			now.Sub(s.OpenedAt).Round(time.Second).String(), s.ExpiresAt.Sub(now).Round(time.Second).String(),
		}, err
	},
}
