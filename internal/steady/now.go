package steady

import (
	"sync"
	"syscall"
)

// NoFD says that a caller has no descriptor at hand.
const NoFD = -1

// WriteNow writes what a socket takes at once, without waiting. fd is the socket's
// descriptor where the caller has it at hand, in a callback of raw; else NoFD. An
// error is left for the next blocking write to meet. Callers keep others from
// writing meanwhile.
func WriteNow(raw syscall.RawConn, fd int, b []byte) int {
	if fd != NoFD {
		n, _ := syscall.Write(fd, b)
		return max(n, 0)
	}
	w := writers.Get().(*writer)
	defer writers.Put(w)
	w.b, w.n = b, 0
	_ = raw.Write(w.callback)
	w.b = nil
	return max(w.n, 0)
}

type writer struct {
	callback func(fd uintptr) bool // write, made once
	b        []byte
	n        int
}

var writers = sync.Pool{New: func() any {
	w := new(writer)
	w.callback = w.write
	return w
}}

// write says done whatever happened: a full socket is no reason to wait.
func (w *writer) write(fd uintptr) (done bool) {
	w.n, _ = syscall.Write(int(fd), w.b)
	return true
}
