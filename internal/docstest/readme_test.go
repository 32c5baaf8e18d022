package docstest

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/gateway"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/session"
)

var readme = filepath.Join("..", "..", "README.md")

// fences returns the fenced blocks of a document in one language.
func fences(t *testing.T, path, language string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for i, part := range strings.Split(string(content), "```") {
		if text, ok := strings.CutPrefix(part, language+"\n"); ok && i%2 == 1 {
			blocks = append(blocks, text)
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("%s: no %s block", path, language)
	}
	return blocks
}

// TestReadmeBackend: the backend in the README is the example that is tested.
func TestReadmeBackend(t *testing.T) {
	example, err := os.ReadFile(filepath.Join("..", "..", "examples", "backend", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range fences(t, readme, "go") {
		if !strings.Contains(string(example), block) {
			t.Errorf("examples/backend/main.go does not hold\n%s", block)
		}
	}
}

// TestReadmeConfiguration: the configuration in the README is complete but for
// the certificate.
func TestReadmeConfiguration(t *testing.T) {
	blocks := fences(t, readme, "yaml")
	t.Chdir(t.TempDir())
	for _, block := range blocks {
		if err := os.WriteFile("linegate.yaml", []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := config.Load(config.Options{Path: "linegate.yaml"})
		if err == nil || !strings.Contains(err.Error(), "tls.crt: no such file") {
			t.Errorf("got %v; want the certificate to be missed, and nothing else", err)
		}
	}
}

// TestReadmeConversation plays what a person types in the README, and expects
// what the README shows, but for the values in the OK.
func TestReadmeConversation(t *testing.T) {
	issuer := authtest.New(t)
	sessions, err := session.NewServer(session.Config{Authenticator: issuer.Verifier()})
	if err != nil {
		t.Fatal(err)
	}
	gw, err := gateway.New(gateway.Config{Handler: func(nc net.Conn, stranger gateway.Stranger) gateway.Conn {
		return sessions.New(nc, stranger)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer gw.Close()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go gw.Serve(&gateway.Listener{Listener: socket, Name: "readme"})
	nc, err := net.Dial("tcp", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(nc)

	blocks := fences(t, readme, "console")
	shown := blocks[len(blocks)-1] // the one with nc
	for line := range strings.Lines(shown) {
		switch {
		case strings.HasPrefix(line, "$ "):
			io.WriteString(nc, "AUTH "+issuer.Token()+"\n")
		case line == "pong\n", strings.HasPrefix(line, "from server: "):
			if got, err := in.ReadString('\n'); got != line {
				t.Fatalf("got %q, %v; the README shows %q", got, err, line)
			}
		case strings.HasPrefix(line, "OK AUTH "):
			got, err := in.ReadString('\n')
			if keys(got) != keys(line) {
				t.Fatalf("got %q, %v; the README shows %q", got, err, line)
			}
		default:
			io.WriteString(nc, line)
		}
	}
}

// keys returns the words of a line without their values.
func keys(line string) string {
	var words []string
	for word := range strings.FieldsSeq(line) {
		key, _, _ := strings.Cut(word, "=")
		words = append(words, key)
	}
	return strings.Join(words, " ")
}
