package steady

import (
	"io"
	"sync"
	"syscall"
)

// NoFD says that a caller has no descriptor at hand.
const NoFD = -1

// ReadNow reads what there is from a non-blocking socket. It returns
// syscall.EAGAIN where that is nothing, and io.EOF at the end of the stream.
func ReadNow(fd int, b []byte) (int, error) {
	for {
		n, err := read(fd, b)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// WriteNow writes what a socket takes at once, without waiting. fd is the socket's
// descriptor where the caller has it at hand, in a callback of raw; else NoFD. An
// error is left for the next blocking write to meet. Callers keep others from
// writing meanwhile.
func WriteNow(raw syscall.RawConn, fd int, b []byte) int {
	if fd == NoFD {
		return writeNow(raw, b)
	}
	n, _ := write(fd, b)
	return max(n, 0)
}

func writeNow(raw syscall.RawConn, b []byte) int {
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
	w.n, _ = write(int(fd), w.b)
	return true
}
