package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// listFlags say how much of a list is written, and how.
type listFlags struct {
	limit  int
	output string
}

func (f *listFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.limit, "limit", 0, "write at most this `number`; 0 is all")
	addOutputFlag(cmd, &f.output)
}

const (
	outputTable = "table"
	outputJSON  = "json"
)

func addOutputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVar(output, "output", outputTable, "in this `form`: table, for people, or json, an object a line for programs")
}

func checkOutput(output string) error {
	if output != outputTable && output != outputJSON {
		return fmt.Errorf("--output: %q is neither table nor json", output)
	}
	return nil
}

const listHelp = `The table is for people: it may change, and what could upset it or the terminal
stands in it as in a Go string. For programs there is --output json: JSON Lines,
each the object that the admin API has.`

func (f *listFlags) check() error {
	if f.limit < 0 {
		return errors.New("--limit: want at least 0")
	}
	return checkOutput(f.output)
}

// rows is how the items of a list stand in a table.
type rows struct {
	header []string
	row    func(item json.RawMessage, now time.Time) ([]string, error)
	none   string // in place of an empty table
}

// write writes the list at path, each page as it comes.
func (f *listFlags) write(ctx context.Context, w io.Writer, api *adminClient, path string, filter url.Values, r rows) error {
	table := columns{w: w}
	begun := false
	err := api.list(ctx, path, filter, f.limit, func(page []json.RawMessage) error {
		if f.output == outputJSON {
			return writeLines(w, page)
		}
		var cells [][]string
		if !begun && len(page) > 0 {
			cells, begun = append(cells, r.header), true
		}
		for _, item := range page {
			row, err := r.row(item, time.Now())
			if err != nil {
				return fmt.Errorf("the admin API gives what this version does not know: %w", err)
			}
			cells = append(cells, row)
		}
		return table.write(cells...)
	})
	if err == nil && !begun && f.output == outputTable {
		_, err = fmt.Fprintln(w, r.none)
	}
	return err
}

func writeLines(w io.Writer, items []json.RawMessage) error {
	for _, item := range items {
		line, err := jsonLine(item)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
