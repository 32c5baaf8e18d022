package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
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
	_ = a.conn.SetReadDeadline(time.Now().Add(time.Minute))
	defer a.conn.SetReadDeadline(time.Time{})
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

// exchange is a line and its answer, if it is the one. What comes unasked is passed
// over.
func (a *answers) exchange(line, want string) error {
	_ = a.conn.SetDeadline(time.Now().Add(30 * time.Second))
	defer a.conn.SetDeadline(time.Time{})
	if _, err := io.WriteString(a.conn, line+"\n"); err != nil {
		return err
	}
	for a.Scan() {
		switch {
		case strings.HasPrefix(a.Text(), want):
			return nil
		case !strings.HasPrefix(a.Text(), "NOTICE "):
			return fmt.Errorf("to %.20q came %q", line, a.Text())
		}
	}
	return fmt.Errorf("to %.20q came no answer, %v", line, a.Err())
}
