package secure

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/tcptest"
	"github.com/linegate/linegate/internal/tlstest"
)

// ledger is a Turn that knows whether it is taken.
type ledger struct{ taken atomic.Bool }

func (l *ledger) Begin() error { l.taken.Store(true); return nil }

func (l *ledger) End() { l.taken.Store(false) }

// signer is a key that signs in turn only.
type signer struct {
	crypto.Signer
	ledger *ledger
	signed atomic.Int32
	wild   atomic.Int32
}

func (s *signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.signed.Add(1)
	if !s.ledger.taken.Load() {
		s.wild.Add(1)
	}
	return s.Signer.Sign(rand, digest, opts)
}

// TestSignsInTurnOnly: a client that sends its second ClientHello with the first, so
// that the server need not read once it has asked for it, is answered in turn as well.
func TestSignsInTurnOnly(t *testing.T) {
	a := certtest.New(t)
	certificate := a.Issue("localhost")
	l := new(ledger)
	key := &signer{Signer: certificate.PrivateKey.(crypto.Signer), ledger: l}
	certificate.PrivateKey = key
	config := &tls.Config{
		Certificates:     []tls.Certificate{certificate},
		CurvePreferences: []tls.CurveID{tls.CurveP256}, // which no client here begins with
	}

	near, far := tcptest.Pair(t)
	_, done := handshake(far, config, l)
	said := &recorder{Conn: near}
	client := tls.Client(said, &tls.Config{
		RootCAs: a.Roots(), ServerName: "localhost", MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
	})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	client.Close()

	near, far = tcptest.Pair(t)
	_, done = handshake(far, config, l)
	said.mu.Lock()
	defer said.mu.Unlock()
	if _, err := near.Write(bytes.Join(said.parts[:3], nil /* between the two a ChangeCipherSpec */)); err != nil {
		t.Fatal(err)
	}
	_ = near.(*net.TCPConn).CloseWrite()
	if err := <-done; err == nil {
		t.Fatal("a handshake with a recording")
	}
	if key.signed.Load() != 2 || key.wild.Load() != 0 {
		t.Errorf("%d signed, %d of them out of turn", key.signed.Load(), key.wild.Load())
	}
}

// recorder keeps what is written to it, in its parts.
type recorder struct {
	net.Conn
	mu    sync.Mutex
	parts [][]byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts = append(r.parts, bytes.Clone(b))
	return r.Conn.Write(b)
}

// TestLongHello: what a client would have TLS keep before it is answered is bounded,
// and a hello that is merely long is answered.
func TestLongHello(t *testing.T) {
	server, client := certtest.New(t).Configs()

	hostile, far := tcptest.Pair(t)
	_, done := handshake(far, server, tlstest.NoTurn{})
	go func() {
		hello := "\x01\x00\xff\xff\x03\x03" // the header of one with 64 KiB
		for {
			record := append([]byte{22, 3, 1, 0, byte(len(hello))}, hello...)
			if _, err := hostile.Write(record); err != nil {
				return
			}
			hello = string(make([]byte, 200))
		}
	}()
	if err := <-done; !errors.Is(err, errTooLong) {
		t.Errorf("ended with %v", err)
	}

	near, far := tcptest.Pair(t)
	_, done = handshake(far, server, tlstest.NoTurn{})
	for i := range 1000 {
		client.NextProtos = append(client.NextProtos, fmt.Sprintf("protocol-%d", i))
	}
	if err := errors.Join(tls.Client(near, client).Handshake(), <-done); err != nil {
		t.Error(err)
	}
}
