package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

// answers is a device's connection.
type answers struct {
	t    *testing.T
	conn net.Conn
	*bufio.Scanner
}

// login is a connection on which an AUTH was sent.
func (p *process) login(token string) *answers {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.device)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	a := &answers{p.t, conn, bufio.NewScanner(conn)}
	a.say("AUTH " + token)
	return a
}

// loggedIn is a session.
func (p *process) loggedIn(token string) *answers {
	p.t.Helper()
	s := p.login(token)
	s.want("OK AUTH v=1 ")
	return s
}

// live has every session answer.
func (p *process) live(sessions ...*answers) {
	p.t.Helper()
	for _, s := range sessions {
		s.say("ping")
		s.want("pong")
	}
}

func (a *answers) want(prefix string) {
	a.t.Helper()
	if !a.Scan() || !strings.HasPrefix(a.Text(), prefix) {
		a.t.Fatalf("line %q, %v; want %q", a.Text(), a.Err(), prefix)
	}
}

func (a *answers) say(line string) {
	a.t.Helper()
	if _, err := io.WriteString(a.conn, line+"\n"); err != nil {
		a.t.Fatal(err)
	}
}
