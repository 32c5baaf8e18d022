package session

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/internal/tlstest"
	"github.com/linegate/linegate/wire"
)

// TestStormUnderTLS: many sessions at once, whose clients cut lines into records and
// records into packets as chance has it, pause, update their keys, read late, and
// end in every way. Each gets the answer to each of its lines, in order, and what
// is pushed to it between them. What fails is told with its seed.
func TestStormUnderTLS(t *testing.T) {
	server, client := certtest.New(t).Configs()
	narrow := newServer(t, Config{Rules: Rules{MaxOutbound: 16 << 10, IdleTimeout: time.Minute}})
	wide := newServer(t, Config{Rules: Rules{MaxOutbound: 8 << 20, IdleTimeout: time.Minute}}) // no push fails
	var all sync.WaitGroup
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		for seed := range uint64(50) {
			near, far := tcpPair(t)
			_ = near.SetDeadline(time.Now().Add(time.Minute))
			if seed%3 == 0 { // what is written has to be waited for
				_ = near.(*net.TCPConn).SetReadBuffer(4096)
				_ = far.(*steady.Conn).Conn.(*net.TCPConn).SetWriteBuffer(4096)
			}
			conn, shaken := secured(far, server)
			w := &weather{chance: rand.New(rand.NewPCG(seed, uint64(version))), version: version, pushed: seed%2 == 0}
			w.Client = tlstest.New(t, near, version, client)
			if err := <-shaken; err != nil {
				t.Fatal(err)
			}
			srv := narrow
			if w.pushed {
				srv = wide
			}
			all.Go(func() {
				defer near.Close()
				if err := w.play(srv, conn); err != nil {
					t.Errorf("TLS %s, seed %d: %v", name, seed, err)
				}
			})
		}
	}
	all.Wait()
}

// weather is a client that does everything by chance.
type weather struct {
	*tlstest.Client
	chance  *rand.Rand // of whoever sends
	version uint16
	pushed  bool // to
}

const (
	stormRounds = 12
	stormLines  = 30 // of a round, at most
	stormPushes = 50
)

func (w *weather) play(srv *Server, nc net.Conn) error {
	s, ended := serve(srv, nc)
	ending, reading := w.chance.IntN(4), rand.New(rand.NewPCG(w.chance.Uint64(), 0))
	rounds := make(chan []string, 1) // the answers to what is sent
	answered, sent := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		defer close(rounds)
		sent <- w.send(ending, rounds, answered)
	}()
	err := w.read(s, rounds, answered, reading)
	if err != nil && ending != reset {
		w.Close()
	} else {
		err = nil
	}
	if failed := <-sent; err == nil {
		err = failed
	}
	// Of a reset the system tells once: when a write has met it, a read finds the end.
	if end := <-ended; err == nil && end != wire.ClientClosed && (ending != reset || end != wire.ClientReset) {
		err = fmt.Errorf("ended for %s", end)
	}
	return err
}

// The endings; any other is the end of the stream and nothing else.
const (
	closeNotify = iota // before it
	halfLine           // before it
	reset              // somewhere in the last round, instead
)

// talk is what is said and what is to be answered.
func (w *weather) talk() (lines string, answers []string) {
	var said strings.Builder
	for i := range 1 + w.chance.IntN(stormLines) {
		size := w.chance.IntN(40)
		if w.chance.IntN(10) == 0 {
			size = w.chance.IntN(8000)
		}
		if w.chance.IntN(3) == 0 {
			said.WriteString("ping\n")
			answers = append(answers, "pong\n")
			continue
		}
		line := fmt.Sprintf("%d%s\n", i, strings.Repeat(string(rune('a'+i%26)), size))
		said.WriteString(line)
		answers = append(answers, "from server: "+line)
	}
	return said.String(), answers
}

// records puts text into records.
func (w *weather) records(text string) (stream []byte) {
	for len(text) > 0 {
		size := 1 + w.chance.IntN(100)
		switch w.chance.IntN(12) {
		case 0:
			size = 1 + w.chance.IntN(16<<10)
		case 1:
			stream = append(stream, w.Record(tlstest.Data, "")...)
		case 2:
			if w.version == tls.VersionTLS13 {
				stream = append(stream, w.KeyUpdate(w.chance.IntN(2) == 0)...)
			}
		}
		size = min(size, len(text))
		stream = append(stream, w.Record(tlstest.Data, text[:size])...)
		text = text[size:]
	}
	return stream
}

// send sends round after round, each when the one before is answered, and the end
// with the last.
func (w *weather) send(ending int, rounds chan<- []string, answered <-chan struct{}) error {
	if err := w.sendPieces(w.Record(tlstest.Data, "AUTH alice\n")); err != nil {
		return err
	}
	for range stormRounds - 1 {
		lines, answers := w.talk()
		rounds <- answers
		if err := w.sendPieces(w.records(lines)); err != nil {
			return err
		}
		if _, ok := <-answered; !ok {
			return nil // it was not, which is told already
		}
	}
	lines, answers := w.talk()
	rounds <- answers
	stream, tcp := w.records(lines), w.Conn.(*net.TCPConn)
	switch ending {
	case closeNotify:
		stream = append(stream, w.Record(tlstest.Alert, "\x01\x00")...)
	case halfLine:
		stream = append(stream, w.Record(tlstest.Data, "half a line")...)
	case reset:
		return errors.Join(w.sendPieces(stream[:w.chance.IntN(len(stream))]), tcp.SetLinger(0), tcp.Close())
	}
	return errors.Join(w.sendPieces(stream), tcp.CloseWrite())
}

func (w *weather) sendPieces(stream []byte) error {
	for len(stream) > 0 {
		size := 1 + w.chance.IntN(200)
		if w.chance.IntN(3) == 0 {
			size = 1 + w.chance.IntN(20_000)
		}
		size = min(size, len(stream))
		if _, err := w.Write(stream[:size]); err != nil {
			return err
		}
		stream = stream[size:]
		pause(w.chance)
	}
	return nil
}

// pause waits for a time that may be none: weather, not for anything.
func pause(chance *rand.Rand) {
	switch chance.IntN(200) {
	case 0:
		time.Sleep(hotGap + time.Duration(chance.IntN(100))*time.Millisecond)
	case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
		time.Sleep(time.Duration(chance.IntN(5000)) * time.Microsecond)
	}
}

// read reads the answers, between them what is pushed, and then the end.
func (w *weather) read(s *Session, rounds <-chan []string, answered chan<- struct{}, chance *rand.Rand) error {
	defer close(answered)
	if line, err := w.ReadString('\n'); err != nil || !strings.HasPrefix(line, "OK AUTH ") {
		return fmt.Errorf("instead of an OK: %q, %v", line, err)
	}
	pushes, next := make(chan int, 1), 0
	go func() { pushes <- w.push(s) }()
	for answers := range rounds {
		for len(answers) > 0 {
			pause(chance)
			line, err := w.ReadString('\n')
			switch {
			case err != nil:
				return fmt.Errorf("%d answers are missing: %q, %w", len(answers), line, err)
			case line == pushed(next):
				next++
			case line == answers[0]:
				answers = answers[1:]
			default:
				return fmt.Errorf("%.60q instead of %.60q", line, answers[0])
			}
		}
		answered <- struct{}{}
	}
	for {
		line, err := w.ReadString('\n')
		switch {
		case line == pushed(next):
			next++
		case err != io.EOF || line != "":
			return fmt.Errorf("%q, %v instead of the end", line, err)
		default:
			if n := <-pushes; n != next {
				return fmt.Errorf("%d lines pushed, %d came", n, next)
			}
			return nil
		}
	}
}

func pushed(n int) string { return fmt.Sprintf("from server: push %d\n", n) }

// push pushes, and returns how often it could.
func (w *weather) push(s *Session) int {
	if !w.pushed {
		return 0
	}
	for i := range stormPushes {
		if err := s.Push(fmt.Appendf(nil, "push %d", i)); err != nil {
			return i
		}
		time.Sleep(time.Millisecond)
	}
	return stormPushes
}
