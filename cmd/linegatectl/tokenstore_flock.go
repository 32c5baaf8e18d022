//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lockFile waits for the only lock on f, which lasts until f is closed, or the
// process ends in whatever way.
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func permissions(info fs.FileInfo) fs.FileMode { return info.Mode().Perm() }
