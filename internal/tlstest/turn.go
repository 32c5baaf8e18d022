package tlstest

// NoTurn is the turn of a handshake that waits for none.
type NoTurn struct{}

// Begin waits for nothing.
func (NoTurn) Begin() error { return nil }

// End gives nothing back.
func (NoTurn) End() {}
