//go:build !linux || race

package steady

import "syscall"

// The race detector follows these, and not a raw system call.

func read(fd int, b []byte) (int, error)  { return syscall.Read(fd, b) }
func write(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
