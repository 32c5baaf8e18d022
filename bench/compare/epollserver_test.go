//go:build examples

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/load"
)

// epollServer compiles the C server, as its head says, and starts it.
func epollServer(t *testing.T) *server {
	t.Helper()
	b := &bench{bin: t.TempDir()}
	program := filepath.Join(b.bin, "epollserver")
	if said, err := exec.Command("cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, "../epollserver.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	s, err := b.start(context.Background(), epoll, variant{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

// The C server answers the generator in every mode.
func TestEpollServer(t *testing.T) {
	s := epollServer(t)
	for name, c := range map[string]load.Config{
		"ping":  {Mode: load.Ping, Count: 1000, Pipeline: 32},
		"echo":  {Mode: load.Echo, Count: 1000, Size: 36},
		"large": {Mode: load.Echo, Count: 1000, Size: 8000, Pipeline: 130}, // more than a socket takes at once
		"login": {Mode: load.Login, Count: 1000},
		"storm": {Mode: load.Storm},
	} {
		t.Run(name, func(t *testing.T) {
			c.Protocol, c.Address, c.Connections, c.Source = load.Lines, s.address, 20, loopback
			r, err := load.Run(t.Context(), c)
			if err != nil || r.Failed > 0 {
				t.Fatalf("%v, %+v", err, r)
			}
		})
	}
}

// It takes lines in pieces, and many at once, and drops whoever sends no end of
// one.
func TestEpollServerLines(t *testing.T) {
	s := epollServer(t)
	nc, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	for _, piece := range []string{"pi", "ng\npi", "ng\r\nHello ", "World!\n\n"} {
		fmt.Fprint(nc, piece)
	}
	want := "pong\npong\nfrom server: Hello World!\nfrom server: \n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	_, _ = io.WriteString(nc, strings.Repeat("x", 100_000))
	if n, err := nc.Read(got); n > 0 || err == nil {
		t.Errorf("%q after a line without end", got[:n])
	}
}
