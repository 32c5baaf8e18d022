package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linegate/linegate/internal/config"
)

// program is the command with everything that it takes from outside, so that
// tests run it as main does.
type program struct {
	environ        []string // as os.Environ has it
	stdout, stderr io.Writer
	notify         func(chan<- os.Signal, ...os.Signal) // os/signal's
	open           opener
}

// The exit status, of sysexits where there is one. 2 is left to the runtime's
// crash.
const (
	exitOK     = 0
	exitFailed = 1  // at run time, and for a second signal
	exitUsage  = 64 // EX_USAGE
	exitConfig = 78 // EX_CONFIG
)

// exitError is an error with the status that it ends the program with.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// run executes a command line, without the program's name, and returns the
// exit status. An error is one line on stderr.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.command()
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	p.say(err.Error())
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.status
	}
	return exitUsage // all that cobra itself finds wrong
}

// say writes one line to stderr.
func (p *program) say(text string) {
	fmt.Fprintf(p.stderr, "linegate: %s\n", strings.Join(strings.Fields(text), " "))
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "linegate",
		Short: "OAuth-protected gateway for line protocols over TCP",
		Long: `linegate lets devices in that have an OAuth access token, and talks lines with
them over TCP or TLS.

Exit status: 0 after a clean stop, 1 for a failure at run time (and a second
signal), 64 for wrong usage, 78 for wrong configuration.`,
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("a command is needed: serve, check-config or version (linegate --help)")
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	// What stood on the command line is repeated only so far: it may have
	// been a token.
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%.64s (%s --help)", err, cmd.CommandPath())
	})
	root.SetHelpCommand(helpCommand())
	root.AddCommand(p.serveCommand(), p.checkCommand(), p.versionCommand())
	return root
}

// noArguments does not repeat what it refuses: it may be a token.
func noArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasParent():
		return fmt.Errorf("%s takes no arguments, only flags (%s --help)", cmd.Name(), cmd.CommandPath())
	}
	return errNoCommand
}

var errNoCommand = errors.New("no such command; want serve, check-config or version (linegate --help)")

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Explain a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return errNoCommand
			}
			return of.Help()
		},
	}
}

func (p *program) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long: `serve runs the gateway until SIGTERM or SIGINT, which drain it: sessions are told
and ended, spread over drain.timeout (25s by default). A second one ends it at
once. SIGHUP reads the configuration anew; one with an error changes nothing.

Without a file, --issuer, --audience and --scope are enough. ` + precedence,
		Args: noArguments,
	}
	load := p.configFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.serve(cmd.Context(), load)
	}
	return cmd
}

func (p *program) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Check the configuration and print what is in force",
		Long: `check-config reads the configuration as serve does, loads the certificates that
it names, sees that state_dir can be written to, and prints what would be in
force, with all defaults, as YAML. It opens no socket and asks no issuer. ` + precedence,
		Args: noArguments,
	}
	load := p.configFlags(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		return p.checkConfig(load)
	}
	return cmd
}

func (p *program) checkConfig(load loader) error {
	c, warnings, err := load()
	for _, w := range warnings {
		p.say("warning: " + string(w))
	}
	if err != nil {
		return &exitError{exitConfig, err}
	}
	text, err := c.YAML()
	if err == nil {
		_, err = p.stdout.Write(text)
	}
	if err != nil {
		return &exitError{exitFailed, err}
	}
	return nil
}

// loader reads the configuration anew each time.
type loader func() (*config.Config, []config.Warning, error)
