//go:build soak

package soak

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/linegate/linegate/wire"
)

// peer is a client's end of a connection whose every byte is chosen here.
type peer struct {
	net.Conn
	*dialogue
	site    *site
	socket  *net.TCPConn
	door    door
	heard   chan struct{} // closed when nothing more is heard
	release func() bool   // of the context
}

// dial connects; nil if that failed, which on a good way is a finding. What is
// left of the connection when ctx is done is closed.
func (s *site) dial(ctx context.Context, name string, w way) *peer {
	d := newDialogue(s.oracle, s.deeds, name, w.faulty) // before the gateway's time begins
	socket, err := s.connect(w)
	if err != nil {
		if !w.faulty {
			s.find("%s: not connected: %v", name, err)
		}
		return nil
	}
	p := &peer{
		Conn: socket, dialogue: d,
		site: s, socket: socket, door: w.door, heard: make(chan struct{}),
	}
	if w.door.tls() {
		secured := tls.Client(socket, s.clientTLS(w.door))
		handshake, cancel := context.WithTimeout(ctx, p.patience())
		defer cancel()
		if err := secured.HandshakeContext(handshake); err != nil {
			if !w.faulty && ctx.Err() == nil {
				s.find("%s: no TLS: %v", name, err)
			}
			socket.Close()
			return nil
		}
		p.Conn = secured
	}
	p.release = context.AfterFunc(ctx, func() {
		p.gone()
		socket.Close()
	})
	s.track(p.dialogue)
	return p
}

// patience is how long an answer is waited for. On a bad way it may never come.
func (p *peer) patience() time.Duration {
	if p.faulty {
		return 5 * time.Second
	}
	return answerWithin
}

// listen judges what comes, until nothing more does. from is the connection, or
// something slower.
func (p *peer) listen(from io.Reader) {
	go func() {
		defer close(p.heard)
		defer p.socket.Close() // or the gateway waits for it
		lines := bufio.NewReaderSize(from, maxLine+wire.MaxControlLine)
		for {
			line, err := lines.ReadSlice('\n')
			if err == nil {
				p.hear(line[:len(line)-1])
				continue
			}
			if err == io.EOF {
				err = nil
				if len(line) > 0 && !p.faulty {
					p.find("%s: half a line, %.80q, at the end", p.name, line)
				}
			}
			if errors.Is(err, net.ErrClosed) {
				p.gone()
			} else {
				p.end(err)
			}
			return
		}
	}()
}

// say sends lines in one write, or in pieces. On a good way they are taken in
// time.
func (p *peer) say(r *rand.Rand, requests []request, lines ...string) {
	text := strings.Join(lines, "\n") + "\n"
	p.ask(requests...)
	if !p.faulty {
		_ = p.SetWriteDeadline(time.Now().Add(answerWithin))
		defer func() { _ = p.SetWriteDeadline(time.Time{}) }()
	}
	for len(text) > 0 {
		n := len(text)
		if r.IntN(8) == 0 {
			n = 1 + r.IntN(n)
		}
		if _, err := io.WriteString(p.Conn, text[:n]); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				p.find("%s: what it says is not taken within %v", p.name, answerWithin)
			}
			return // who listens learns why
		}
		text = text[n:]
	}
}

// login authenticates and reports whether there is a session.
func (p *peer) login(ctx context.Context, r *rand.Rand, t *token) bool {
	p.listen(p.Conn)
	p.say(r, []request{auth(t)}, "AUTH "+t.text)
	return p.settled(ctx)
}

// settled waits until everything is answered, and reports whether the session
// goes on.
func (p *peer) settled(ctx context.Context) bool {
	last, since := -1, time.Now()
	for {
		n, over := p.pending()
		switch {
		case over || ctx.Err() != nil:
			return false
		case n == 0:
			return true
		case n != last:
			last, since = n, time.Now()
		case time.Since(since) > p.patience():
			if !p.faulty {
				p.find("%s: %d lines are not answered within %v", p.name, n, answerWithin)
			}
			return false
		}
		select {
		case <-p.changed:
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// reset ends the connection as a crash does.
func (p *peer) reset() {
	p.gone()
	_ = p.socket.SetLinger(0)
	p.socket.Close()
}

// finish ends the client's stream and waits until the gateway ends its own.
func (p *peer) finish(ctx context.Context) {
	p.leave()
	half, ok := p.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if p.socket != p.Conn { // TLS has told it, and the socket does so, too
		_ = p.socket.CloseWrite()
	}
	wait := answerWithin
	if p.faulty {
		wait = time.Second
	}
	select {
	case <-p.heard:
	case <-ctx.Done():
	case <-time.After(wait):
		if !p.faulty {
			p.find("%s: the gateway did not end the connection %v after its client", p.name, wait)
		}
	}
}

// bye closes the connection, however it is, and waits for who listens.
func (p *peer) bye() {
	p.release()
	p.gone()
	p.socket.Close()
	<-p.heard
	p.site.untrack(p.dialogue)
}

// pending returns how many requests have no reply, and whether any can come.
func (d *dialogue) pending() (n int, over bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked), d.over
}

// identity returns the session's id and token; empty where there is none.
func (d *dialogue) identity() (id string, t *token) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return "", nil
	}
	return d.session, d.token
}

// due reports whether it is time for a new token.
func (d *dialogue) due() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.token == nil || d.over || time.Since(d.authed) < 1200*time.Millisecond {
		return false
	}
	life := d.token.expires.Sub(d.token.issued)
	return d.renew || time.Until(d.token.expires) < life/3
}
