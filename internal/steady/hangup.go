package steady

import (
	"io"
	"net"
	"time"
)

// The bounds of the wait for a client to read the last line and close.
const (
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

// Hangup ends the stream to the peer and then waits, within bounds, for the
// peer to end its own, taking in what it still sends: a plain close with
// unread input would become a reset, and the last line would be lost with it.
// It does not close nc.
func Hangup(nc net.Conn) { HangupWithin(nc, lingerTime) }

// HangupWithin is Hangup with a shorter wait.
func HangupWithin(nc net.Conn, wait time.Duration) {
	deadline := time.Now().Add(wait)
	if !EndStream(nc) || nc.SetReadDeadline(deadline) != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, nc, lingerBytes); err == nil {
		// No more is taken in, and the close will be a reset. It need not
		// come before the peer had time to read what it was sent.
		time.Sleep(time.Until(deadline))
	}
}

// EndStream ends the stream to the peer, and tells whether it could: under TLS
// the close_notify first (RFC 8446 section 6.1), then the FIN beneath.
func EndStream(nc net.Conn) bool {
	if CloseWrite(nc) != nil {
		return false
	}
	if over, ok := nc.(interface{ NetConn() net.Conn }); ok {
		return EndStream(over.NetConn())
	}
	return true
}
