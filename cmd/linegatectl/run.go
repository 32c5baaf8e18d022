package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linegate/linegate/client"
)

// The exit statuses, of which those above 2 are sysexits.
const (
	exitOK      = 0
	exitFailure = 1  // at run time
	exitUsage   = 64 // wrong usage
	exitConfig  = 78 // wrong configuration, in the gateway's file
)

// Run executes one command line and returns its exit status. A cancelled ctx
// ends it cleanly. An error is one line on stderr.
func Run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return (&console{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}).run(ctx, args)
}

// console is what a command is given besides its flags.
type console struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
	transport      http.RoundTripper // to the issuer of a login; nil: the default
	now            func() time.Time  // by which a token is judged; nil: time.Now
}

func (c *console) run(ctx context.Context, args []string) int {
	root := newRoot(c)
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(c.stderr, "linegatectl: "+plain(err))
	if _, inFile := errors.AsType[*badConfig](err); inFile {
		return exitConfig
	}
	if _, atRunTime := errors.AsType[*failure](err); atRunTime {
		return exitFailure
	}
	return exitUsage
}

// clock returns the time.
func (c *console) clock() time.Time {
	if c.now != nil {
		return c.now()
	}
	return time.Now()
}

// variable returns the value of an environment variable, and whether it is set.
func (c *console) variable(name string) (string, bool) {
	for i := len(c.environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(c.environ[i], name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// failure is an error at run time; every other one is wrong usage.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// failed makes an error one at run time, unless it is about the flags.
func failed(err error) error {
	if err == nil || errors.Is(err, client.ErrConfig) {
		return err
	}
	return &failure{err}
}

// plain is an error as a person reads it, on one line.
func plain(err error) string {
	text := strings.TrimPrefix(err.Error(), client.ErrConfig.Error()+": ")
	text = strings.TrimPrefix(text, "client: ")
	return strings.ReplaceAll(text, "\n", "; ")
}

func newRoot(c *console) *cobra.Command {
	root := &cobra.Command{
		Use:   "linegatectl",
		Short: "Talk to a linegate gateway, log in, get tokens and explain them, end sessions",
		Long: `linegatectl talks to a linegate gateway as a device would, logs in at its
issuer, gets tokens and explains them. For its operators it lists and ends
sessions and revokes tokens.

Exit status: 0 after success, 1 for a failure at run time, 64 for wrong usage,
78 for a wrong configuration file.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q; linegatectl --help lists them", args[0])
			}
			return errors.New("a command is missing; linegatectl --help lists them")
		},
		RunE:          func(*cobra.Command, []string) error { return nil },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newLogin(c), newLogout(c), newToken(c), newConnect(c), newBench(c),
		newSessions(c), newKick(c), newRevoke(c), newVersion(c))
	return root
}
