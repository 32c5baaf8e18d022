// Package tlstest is a TLS client for tests that makes its records itself, once
// crypto/tls has made the handshake: it can cut them, send many at once, update its
// keys and try to renegotiate. NoTurn is for the server's side.
package tlstest

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// Client is a client behind its handshake. Writing to its Conn sends what may be
// made of records. It ends the test when something fails.
type Client struct {
	net.Conn
	t        testing.TB
	in       *bufio.Reader
	sent     half
	received half
	lines    bytes.Buffer // data not yet read as lines
}

// The content types of records.
const (
	Alert     = 21
	Handshake = 22
	Data      = 23
)

// New makes the handshake over nc, with cfg for version 1.2 or 1.3. In both cases
// the cipher is AES-128-GCM.
func New(t testing.TB, nc net.Conn, version uint16, cfg *tls.Config) *Client {
	t.Helper()
	log, heard := new(bytes.Buffer), &listener{Conn: nc}
	cfg = cfg.Clone()
	cfg.KeyLogWriter, cfg.MinVersion, cfg.MaxVersion = log, version, version
	cfg.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256} // of 1.2
	secure := tls.Client(heard, cfg)
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	c := &Client{Conn: nc, t: t, in: bufio.NewReader(nc)}
	if version == tls.VersionTLS12 {
		c.keys12(secret(t, log, "CLIENT_RANDOM"), heard.serverRandom())
		return c
	}
	if suite := secure.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("the server chose %s", tls.CipherSuiteName(suite))
	}
	c.sent.traffic(secret(t, log, "CLIENT_TRAFFIC_SECRET_0")[1])
	c.received.traffic(secret(t, log, "SERVER_TRAFFIC_SECRET_0")[1])
	return c
}

// Record is one record.
func (c *Client) Record(kind byte, content string) []byte { return c.sent.seal(kind, []byte(content)) }

// KeyUpdate is the record that says that the next one has new keys, and may ask the
// server to do the same (RFC 8446 section 4.6.3).
func (c *Client) KeyUpdate(ask bool) []byte {
	message := "\x18\x00\x00\x01\x00"
	if ask {
		message = "\x18\x00\x00\x01\x01"
	}
	record := c.Record(Handshake, message)
	c.sent.update()
	return record
}

// Say sends one record of data.
func (c *Client) Say(data string) {
	c.t.Helper()
	if _, err := c.Write(c.Record(Data, data)); err != nil {
		c.t.Fatal(err)
	}
}

// Next reads one record.
func (c *Client) Next() (kind byte, content []byte, err error) {
	header, err := c.in.Peek(5)
	if err != nil {
		return 0, nil, err
	}
	record := make([]byte, 5+int(binary.BigEndian.Uint16(header[3:])))
	if _, err := io.ReadFull(c.in, record); err != nil {
		return 0, nil, err
	}
	kind, content, err = c.received.open(record)
	if err == nil && kind == Handshake && len(content) == 5 && content[0] == 24 {
		c.received.update()
	}
	return kind, content, err
}

// ReadString reads data as a bufio.Reader does. The end of the stream is io.EOF when
// a close_notify says so, any other alert an error.
func (c *Client) ReadString(delim byte) (string, error) {
	for {
		if i := bytes.IndexByte(c.lines.Bytes(), delim); i >= 0 {
			return string(c.lines.Next(i + 1)), nil
		}
		kind, content, err := c.Next()
		switch {
		case errors.Is(err, io.EOF):
			return "", io.ErrUnexpectedEOF
		case err != nil:
			return "", err
		case kind == Data:
			c.lines.Write(content)
		case kind == Alert && content[1] == 0:
			return c.lines.String(), io.EOF
		case kind == Alert:
			return "", tls.AlertError(content[1])
		}
	}
}

// half is one direction's keys.
type half struct {
	secret []byte // of 1.3
	aead   cipher.AEAD
	iv     []byte // 12 bytes, or of 1.2 the first 4
	seq    uint64
}

// traffic makes the keys of 1.3 (RFC 8446 section 7.3).
func (h *half) traffic(secret []byte) {
	*h = half{secret: secret, aead: gcm(expand(secret, "key", 16)), iv: expand(secret, "iv", 12)}
}

func (h *half) update() { h.traffic(expand(h.secret, "traffic upd", sha256.Size)) }

func (h *half) seal(kind byte, content []byte) []byte {
	if h.secret == nil {
		nonce, extra := h.nonce12(nil), h.extra12(kind, len(content))
		body := h.aead.Seal(nonce[4:], nonce, content, extra)
		return append(header(kind, len(body)), body...)
	}
	head := header(Data, len(content)+1+16)
	return h.aead.Seal(head, h.nonce13(), append(bytes.Clone(content), kind), head)
}

func (h *half) open(record []byte) (kind byte, content []byte, err error) {
	head, body := record[:5], record[5:]
	if h.secret == nil {
		nonce, extra := h.nonce12(body[:8]), h.extra12(head[0], len(body)-8-16)
		content, err = h.aead.Open(nil, nonce, body[8:], extra)
		return head[0], content, err
	}
	content, err = h.aead.Open(nil, h.nonce13(), body, head)
	if err != nil {
		return 0, nil, err
	}
	content = bytes.TrimRight(content, "\x00")
	last := len(content) - 1
	return content[last], content[:last], nil
}

func (h *half) nonce13() []byte {
	nonce := binary.BigEndian.AppendUint64(make([]byte, 4), h.seq)
	for i := range nonce {
		nonce[i] ^= h.iv[i]
	}
	h.seq++
	return nonce
}

// nonce12 has its last part in the record (RFC 5288 section 3): that given, or the
// record's number.
func (h *half) nonce12(explicit []byte) []byte {
	if explicit == nil {
		explicit = binary.BigEndian.AppendUint64(nil, h.seq)
	}
	return append(bytes.Clone(h.iv), explicit...)
}

func (h *half) extra12(kind byte, size int) []byte {
	extra := append(binary.BigEndian.AppendUint64(nil, h.seq), header(kind, size)...)
	h.seq++
	return extra
}

func header(kind byte, size int) []byte { return []byte{kind, 3, 3, byte(size >> 8), byte(size)} }

// keys12 makes the keys of 1.2 (RFC 5246 section 6.3). Either side has sent one
// encrypted record: its Finished.
func (c *Client) keys12(client [2][]byte, server []byte) {
	random, master := client[0], client[1]
	seed := append(append([]byte("key expansion"), server...), random...)
	var block []byte
	for a := mac(master, seed); len(block) < 40; a = mac(master, a) {
		block = append(block, mac(master, append(bytes.Clone(a), seed...))...)
	}
	c.sent = half{aead: gcm(block[:16]), iv: block[32:36], seq: 1}
	c.received = half{aead: gcm(block[16:32]), iv: block[36:40], seq: 1}
}

func mac(key, message []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(message)
	return m.Sum(nil)
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// expand is HKDF-Expand-Label (RFC 8446 section 7.1).
func expand(secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := fmt.Sprintf("%c%c%c%s%c", 0, size, len(label), label, 0)
	out, err := hkdf.Expand(sha256.New, secret, info, size)
	if err != nil {
		panic(err)
	}
	return out
}

// secret finds in a key log the client's random and what is logged under name.
func secret(t testing.TB, log *bytes.Buffer, name string) (pair [2][]byte) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		fields := strings.Fields(line)
		if fields[0] != name {
			continue
		}
		for i := range pair {
			pair[i], _ = hex.DecodeString(fields[1+i])
		}
		return pair
	}
	t.Fatalf("no %s in the key log", name)
	return pair
}

// listener remembers what came first.
type listener struct {
	net.Conn
	heard []byte
}

func (l *listener) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if len(l.heard) < 64 {
		l.heard = append(l.heard, b[:n]...)
	}
	return n, err
}

// serverRandom is in the ServerHello, behind two headers and the version.
func (l *listener) serverRandom() []byte { return l.heard[5+4+2:][:32] }
