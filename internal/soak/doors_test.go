//go:build soak

package soak

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
)

// door is one of the gateway's listeners, by its name.
type door string

const (
	plain     door = "plain"
	secure    door = "tls"
	certified door = "certified" // TLS, for clients with a certificate
	balanced  door = "balanced"  // plain, behind a balancer that sends PROXY headers
)

var doors = []door{plain, secure, certified, balanced}

// tls reports whether it speaks TLS.
func (d door) tls() bool { return d == secure || d == certified }

// way is one to the gateway.
type way struct {
	door   door
	faulty bool // through a bad network
}

func someWay(r *rand.Rand) way { return way{door: someDoor(r), faulty: r.IntN(2) == 0} }

func someDoor(r *rand.Rand) door { return doors[r.IntN(len(doors))] }

func (s *site) address(w way) string {
	if w.faulty {
		return s.networks[w.door].Addr()
	}
	return s.gateway.log.place(string(w.door))
}

// reach makes a connection and counts it: the gateway has to have accepted as
// many.
func (s *site) reach(w way) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp", s.address(w), patience)
	if err != nil {
		return nil, err
	}
	if !w.faulty {
		s.dialled.Add(1)
	}
	return c.(*net.TCPConn), nil
}

// connect reaches the gateway and says what a balancer says; TLS is still to
// come.
func (s *site) connect(w way) (*net.TCPConn, error) {
	c, err := s.reach(w)
	if err != nil || w.door != balanced {
		return c, err
	}
	if _, err := c.Write(proxyHeader(c)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// clientTLS is how a client speaks TLS at a door.
func (s *site) clientTLS(d door) *tls.Config {
	config := &tls.Config{RootCAs: s.certs.Roots(), ServerName: "localhost"}
	if d == certified {
		config.Certificates = []tls.Certificate{s.clientCert}
	}
	return config
}

// remote is the address that the gateway has to show for a connection.
func remote(d door, c *net.TCPConn) string {
	if d == balanced {
		return behind(c).String()
	}
	return c.LocalAddr().String()
}

// behind is the client that a balancer says is behind a connection.
func behind(c *net.TCPConn) netip.AddrPort {
	port := c.LocalAddr().(*net.TCPAddr).AddrPort().Port()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 7}), port)
}

// healthCheck is a balancer's that only looks in: LOCAL.
const (
	signature   = "\r\n\r\n\x00\r\nQUIT\n"
	healthCheck = signature + "\x20\x00\x00\x00"
)

// proxyHeader is of version 1 or 2, as it happens.
func proxyHeader(c *net.TCPConn) []byte {
	client := behind(c)
	if client.Port()%2 == 0 {
		return fmt.Appendf(nil, "PROXY TCP4 %v 127.0.0.1 %d 8885\r\n", client.Addr(), client.Port())
	}
	b := append([]byte(signature+"\x21\x11\x00\x0c"), client.Addr().AsSlice()...)
	b = append(b, 127, 0, 0, 1)
	b = binary.BigEndian.AppendUint16(b, client.Port())
	return binary.BigEndian.AppendUint16(b, 8885)
}
