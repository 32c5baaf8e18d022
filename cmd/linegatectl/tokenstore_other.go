//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

import (
	"io/fs"
	"os"
)

// lockFile does nothing where there is no flock: there, only one process at a
// time may use a login. docs/login.md says so.
func lockFile(*os.File) error { return nil }

// permissions are not what protects a file here.
func permissions(fs.FileInfo) fs.FileMode { return 0 }
