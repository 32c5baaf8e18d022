package secure

import (
	"errors"

	"github.com/linegate/linegate/internal/steady"
)

// Turn is a handshake's leave to compute, which it takes anew whenever it has
// heard from its client.
type Turn interface {
	// Begin waits for it. After an error there is none, and the handshake
	// fails with that error.
	Begin() error
	End()
}

// Handshake runs the handshake, within the connection's deadlines. It computes
// only while it has turn, and gives it back whenever it waits for its client.
func (c *Conn) Handshake(turn Turn) error {
	c.beneath.turn = turn
	defer func() {
		c.beneath.endTurn()
		c.beneath.turn = nil
	}()
	err := c.Conn.Handshake()
	c.beneath.queues = err == nil && c.beneath.raw != nil
	c.left = true // it reads ahead
	return err
}

// maxFlight is how much a client in its handshake may send and still owe the rest of
// what is to be answered. TLS would keep 64 KiB of a hello, and 256 KiB of
// certificates, for every stranger.
const maxFlight = 16 << 10

var errTooLong = errors.New("what the client sends in its handshake is too long")

// readInTurn waits for a client in its handshake, and then for a turn.
func (u *socket) readInTurn(b []byte) (int, error) {
	u.endTurn()
	if u.heard > maxFlight {
		return 0, errTooLong
	}
	n, err := u.Conn.Read(b)
	if err != nil {
		return n, err
	}
	u.heard += n
	if err := u.beginTurn(); err != nil {
		return 0, err
	}
	return n, nil
}

func (u *socket) beginTurn() error {
	err := u.turn.Begin()
	u.inTurn = err == nil
	return err
}

func (u *socket) endTurn() {
	if u.inTurn {
		u.turn.End()
		u.inTurn = false
	}
}

// writeInTurn gives the turn back only while the client has to be waited for: a
// client that has sent already what it will be asked for has TLS compute on without
// another read.
func (u *socket) writeInTurn(b []byte) (n int, err error) {
	u.heard = 0
	if u.inTurn && u.raw != nil {
		n = steady.WriteNow(u.raw, steady.NoFD, b)
	}
	if n == len(b) {
		return n, nil
	}
	again := u.inTurn
	u.endTurn()
	written, err := u.Conn.Write(b[n:])
	if err == nil && again {
		err = u.beginTurn()
	}
	return n + written, err
}
