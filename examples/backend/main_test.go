package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// TestCapitals runs the example against a real issuer.
func TestCapitals(t *testing.T) {
	issuer := authtest.Serve(t)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(t.Context(), socket, issuer.URL) }()
	nc, err := net.Dial("tcp", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(nc, "AUTH "+issuer.Token()+"\nHello World!\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(nc)
	for _, want := range []string{"OK AUTH v=1 ", "from server: HELLO WORLD!\n"} {
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
			t.Fatalf("got %q, %v; want %q...", line, err, want)
		}
	}
	socket.Close()
	if err := <-served; err == nil {
		t.Error("Serve returned nil")
	}
}
