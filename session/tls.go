package session

// sealed is a connection behind TLS that nobody has to wait in (see
// internal/secure): the session waits for the socket beneath, as it does where
// there is no TLS, and what it writes and the socket does not take stays with the
// connection.
type sealed interface {
	// ReadReady decrypts what the socket has; syscall.EAGAIN: nothing. A read
	// that does not fill b need not have found the end of the stream.
	ReadReady(fd int, b []byte) (int, error)
	// WriteReady encrypts as much of b as can be written without waiting, and
	// perhaps a little more. fd may be steady.NoFD.
	WriteReady(fd int, b []byte) int
	// Unsent reports whether something is encrypted that the socket did not
	// take: a Write, also of nothing, returns when that has gone.
	Unsent() bool
}
