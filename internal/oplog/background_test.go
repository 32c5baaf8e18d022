package oplog

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// gate is a writer that waits until it is let go.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	text strings.Builder
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *gate) lines() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Split(strings.TrimSuffix(g.text.String(), "\n"), "\n")
}

// Whoever logs does not wait for the writer, the order is kept, and flush waits
// for everything.
func TestBackground(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	log, flush, err := NewBackground(g, new(slog.LevelVar), "text")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		log.With("a", "b").Info("event", "n", i)
	}
	close(g.open)
	flush()
	lines := g.lines()
	if len(lines) != 1000 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		if !strings.HasSuffix(line, fmt.Sprintf("msg=event a=b n=%d", i)) {
			t.Fatalf("line %d: %s", i, line)
		}
	}
}

// What must not be lost is written when the call returns, and what came before it.
func TestBackgroundWritesFaultsAtOnce(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelWarn, slog.LevelError, LevelAudit} {
		g := &gate{open: make(chan struct{})}
		close(g.open)
		log, _, err := NewBackground(g, new(slog.LevelVar), "json")
		if err != nil {
			t.Fatal(err)
		}
		log.Info("before")
		log.Log(t.Context(), level, "now")
		if lines := g.lines(); len(lines) != 2 || !strings.Contains(lines[1], `"msg":"now"`) {
			t.Errorf("%v: %q", level, lines)
		}
	}
}

// When the writer cannot keep up, those who log wait, and nothing is lost.
func TestBackgroundIsBounded(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	log, flush, err := NewBackground(g, new(slog.LevelVar), "text")
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 10_000
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				log.Info("event")
			}
		})
	}
	close(g.open)
	all.Wait()
	flush()
	if n := len(g.lines()); n != writers*each {
		t.Errorf("%d lines", n)
	}
}
