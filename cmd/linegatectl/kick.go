package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newKick(c *console) *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use:   "kick SESSION...",
		Short: "End sessions, which may come back with the same token",
		Long: `kick ends these sessions: their clients are told token_revoked. Their tokens stay
good, and so they may come back; what keeps them out is linegatectl revoke.

It says of each session what happened. Where there is no such session, the
others are ended all the same, and the exit status is 1.

` + adminHelp,
		Example: `  linegatectl kick 3OLOLF72VPAHNWTD7UCWVM3DI6`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return deleteEach(cmd, c, &admin, "/v1/sessions/", ids, "session", "ended")
		},
	}
	admin.add(cmd)
	return cmd
}

// deleteEach deletes things of the admin API by their ids, and says of each
// what became of it.
func deleteEach(cmd *cobra.Command, c *console, admin *adminFlags, path string, ids []string, thing, done string) error {
	for _, id := range ids {
		if err := checkID(id); err != nil {
			return err
		}
	}
	api, err := admin.client(cmd, c)
	if err != nil {
		return err
	}
	missing := 0
	for i, id := range ids {
		err := deleteOne(cmd.Context(), api, path+id)
		happened := done
		switch {
		case answeredWith(err, http.StatusNotFound):
			missing++
			happened = "no such " + thing
		case err != nil && len(ids) > 1:
			return failed(fmt.Errorf("%s: %w; done before: %d of %d", id, err, i, len(ids)))
		case err != nil:
			return failed(err)
		}
		if _, err := fmt.Fprintf(c.stdout, "%s: %s\n", id, happened); err != nil {
			return failed(err)
		}
	}
	if missing > 0 {
		return failed(fmt.Errorf("not found: %d of %d", missing, len(ids)))
	}
	return nil
}

func deleteOne(ctx context.Context, api *adminClient, path string) error {
	return api.call(ctx, http.MethodDelete, path, nil, nil)
}

// checkID refuses what is no id: it stands in a path.
func checkID(id string) error {
	if id == "" || url.PathEscape(id) != id || strings.Trim(id, ".") == "" {
		return errors.New(cell(id) + ": not an id")
	}
	return nil
}
