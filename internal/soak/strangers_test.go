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
	kind := strangerKinds[r.IntN(len(strangerKinds))]
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
	if _, err := io.WriteString(c, kind.says(s, r)); err != nil {
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

// strangerKinds are what a stranger may be, and says.
var strangerKinds = []struct {
	name   string
	says   func(s *site, r *rand.Rand) string
	silent bool // and ends its stream
}{
	{name: "expired", says: func(s *site, _ *rand.Rand) string { return s.showing(authtest.ExpiresIn(-time.Second)) }},
	{name: "not yet valid", says: func(s *site, _ *rand.Rand) string {
		return s.showing(authtest.Claim("nbf", time.Now().Add(time.Hour).Unix()))
	}},
	{name: "for somebody else", says: showing(authtest.Claim("aud", "somebody-else"))},
	{name: "of another issuer", says: showing(authtest.Claim("iss", "https://elsewhere.example"))},
	{name: "without the scope", says: showing(authtest.Claim("scope", "line:other"))},
	{name: "forged", says: func(s *site, _ *rand.Rand) string { return s.showing(authtest.ForgedBy(s.unpublished)) }},
	{name: "by an unknown key", says: func(s *site, r *rand.Rand) string {
		return s.showing(authtest.SignedBy(s.unpublished), authtest.Header("kid", fmt.Sprintf("guess-%d", r.Uint32())))
	}},
	{name: "changed", says: func(s *site, r *rand.Rand) string {
		return s.showing(authtest.Edit(func(token string) string { return changed(r, token) }))
	}},
	{name: "cut short", says: func(s *site, r *rand.Rand) string {
		return s.showing(authtest.Edit(func(token string) string { return token[:r.IntN(len(token))] }))
	}},
	{name: "unsigned", says: func(s *site, _ *rand.Rand) string { return "AUTH " + s.issuer.Unsigned() + afterwards }},
	{name: "ping first", says: func(s *site, _ *rand.Rand) string { return "ping\n" + s.showing() }},
	{name: "messages first", says: always("hello" + afterwards)},
	{name: "HTTP", says: always("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
	{name: "SSH", says: always("SSH-2.0-OpenSSH_9.6\r\n")},
	{name: "garbage", says: func(_ *site, r *rand.Rand) string {
		garbage := make([]byte, 1+r.IntN(4000))
		for i := range garbage {
			garbage[i] = byte(r.Uint32())
		}
		return string(garbage)
	}},
	{name: "empty lines", says: always(strings.Repeat("\n", 1000))},
	{name: "a long line", says: always("AUTH " + strings.Repeat("x", 20<<10))},
	{name: "half an AUTH", silent: true, says: func(s *site, _ *rand.Rand) string { return "AUTH " + s.newToken("stranger", time.Hour).text }},
	{name: "silence", says: always("")},
}

// afterwards is what a stranger says behind the line that does not let him in.
const afterwards = "\nping\nhello from a stranger\n"

// showing is an AUTH with a token that has these changes.
func (s *site) showing(changes ...authtest.Change) string {
	return "AUTH " + s.newToken("stranger", time.Hour, changes...).text + afterwards
}

func showing(change authtest.Change) func(*site, *rand.Rand) string {
	return func(s *site, _ *rand.Rand) string { return s.showing(change) }
}

func always(text string) func(*site, *rand.Rand) string {
	return func(*site, *rand.Rand) string { return text }
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
