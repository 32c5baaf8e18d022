package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker in a release (-X main.version=1.2.3).
var version string

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the Go version and the revision",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			if _, err := fmt.Fprintln(p.stdout, versionLine(version, info)); err != nil {
				return &exitError{exitFailed, err}
			}
			return nil
		},
	}
}

// versionLine describes a build: "linegate 1.2.3 go1.26.8 revision 0123abcd".
// info may be nil.
func versionLine(linked string, info *debug.BuildInfo) string {
	line := fmt.Sprintf("linegate %s %s", versionOf(linked, info), runtime.Version())
	var modified string
	if info != nil {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				line += " revision " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = " (modified)"
			}
		}
	}
	return line + modified
}

// versionOf is the version alone: the linker's, the module's, or devel.
func versionOf(linked string, info *debug.BuildInfo) string {
	switch {
	case linked != "":
		return linked
	case info != nil && info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	}
	return "devel"
}
