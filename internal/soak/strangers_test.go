//go:build soak

package soak

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// strangers are those who must not be let in: one of them comes, says what it
// likes, and hears a BYE or nothing.
func (s *site) strangers(ctx context.Context, name string, r *rand.Rand) {
	kinds := s.strangerKinds(r)
	kind := kinds[r.IntN(len(kinds))]
	w := someWay(r)
	socket, err := s.reach(w)
	if err != nil {
		if !w.faulty {
			s.find("%s: not connected: %v", name, err)
		}
		return
	}
	defer socket.Close()
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer stop()
	_ = socket.SetDeadline(time.Now().Add(3 * authTimeout))
	c := s.speak(w.door, socket, r)
	s.count("strangers", 1)
	if _, err := io.WriteString(c, kind.says); err != nil {
		return
	}
	if r.IntN(10) == 0 {
		_ = socket.SetLinger(0)
		return
	}
	if kind.silent && c == socket {
		_ = socket.CloseWrite()
	}
	heard := stranger{oracle: s.oracle, name: name + ", " + kind.name}
	lines := bufio.NewReader(c)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			// A stranger who does not speak TLS hears an alert, which is no line.
			return
		}
		heard.hear(bytes.TrimSuffix(line, []byte("\n")))
	}
}

// speak is how a stranger begins at a door: mostly as one has to.
func (s *site) speak(d door, c *net.TCPConn, r *rand.Rand) net.Conn {
	right := r.IntN(4) > 0
	switch {
	case d.tls() && right:
		own := []door{secure, d}[r.IntN(2)] // without the certificate that is asked for, or with it
		return tls.Client(c, s.clientTLS(own))
	case d == balanced && right:
		_, _ = c.Write(proxyHeader(c))
	case d == balanced && r.IntN(2) == 0:
		_, _ = io.WriteString(c, healthCheck)
	}
	return c
}

type strangerKind struct {
	name, says string
	silent     bool // and ends its stream
}

func (s *site) strangerKinds(r *rand.Rand) []strangerKind {
	const behind = "\nping\nhello from a stranger\n"
	bad := func(why string, changes ...authtest.Change) strangerKind {
		return strangerKind{name: why, says: "AUTH " + s.newToken("stranger", time.Hour, changes...).text + behind}
	}
	garbage := make([]byte, 1+r.IntN(4000))
	for i := range garbage {
		garbage[i] = byte(r.Uint32())
	}
	other := s.unpublished
	return []strangerKind{
		bad("expired", authtest.ExpiresIn(-time.Second)),
		bad("not yet valid", authtest.Claim("nbf", time.Now().Add(time.Hour).Unix())),
		bad("for somebody else", authtest.Claim("aud", "somebody-else")),
		bad("of another issuer", authtest.Claim("iss", "https://elsewhere.example")),
		bad("without the scope", authtest.Claim("scope", "line:other")),
		bad("forged", authtest.ForgedBy(other)),
		bad("by an unknown key", authtest.SignedBy(other), authtest.Header("kid", fmt.Sprintf("guess-%d", r.Uint32()))),
		bad("changed", authtest.Edit(func(token string) string { return changed(r, token) })),
		bad("cut short", authtest.Edit(func(token string) string { return token[:r.IntN(len(token))] })),
		{name: "unsigned", says: "AUTH " + s.issuer.Unsigned() + behind},
		{name: "ping first", says: "ping\nAUTH " + s.newToken("stranger", time.Hour).text + behind},
		{name: "messages first", says: "hello" + behind},
		{name: "HTTP", says: "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{name: "SSH", says: "SSH-2.0-OpenSSH_9.6\r\n"},
		{name: "garbage", says: string(garbage)},
		{name: "empty lines", says: strings.Repeat("\n", 1000)},
		{name: "a long line", says: "AUTH " + strings.Repeat("x", 20<<10)},
		{name: "half an AUTH", says: "AUTH " + s.newToken("stranger", time.Hour).text, silent: true},
		{name: "silence", says: ""},
	}
}

// changed is a token with one byte that is another.
func changed(r *rand.Rand, token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := []byte(token)
	for at := r.IntN(len(b)); ; {
		if c := alphabet[r.IntN(len(alphabet))]; b[at] != '.' && b[at] != c {
			b[at] = c
			return string(b)
		}
		at = r.IntN(len(b))
	}
}
