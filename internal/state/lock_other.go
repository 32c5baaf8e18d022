//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package state

import (
	"io/fs"
	"os"
)

// lock does nothing where there is no flock: there, it is the operator who makes
// sure that only one process uses a directory.
func lock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode)
}

// permissions are not what protects a file here.
func permissions(fs.FileInfo) fs.FileMode { return 0 }
