//go:build linux && !race

package steady

import (
	"syscall"
	"unsafe"
)

// A read or write of a non-blocking socket does not sleep, so the scheduler need
// not hear that a thread may: to tell it, before and after, took a twelfth of the
// CPU time of one ping.

func read(fd int, b []byte) (int, error)  { return transfer(syscall.SYS_READ, fd, b) }
func write(fd int, b []byte) (int, error) { return transfer(syscall.SYS_WRITE, fd, b) }

func transfer(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
