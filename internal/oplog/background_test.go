package oplog

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
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

// A writer that takes nothing stops nobody for longer than a second, and no second
// time; nothing waits without bound. When it takes something again, it is told how
// many records are missing.
func TestStuckWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		log, flush, err := NewBackground(g, new(slog.LevelVar), "text")
		if err != nil {
			t.Fatal(err)
		}
		defer time.Sleep(time.Second) // its goroutine ends
		begun := time.Now()
		const all = 100_000
		log.Warn("fault")
		for n := range all {
			log.Info("event", "n", n)
		}
		log.Error("fault as well")
		flush()
		if d := time.Since(begun); d != patience {
			t.Errorf("it took %v", d)
		}
		close(g.open)
		synctest.Wait()
		time.Sleep(time.Second)
		lines := g.lines()
		var lost int
		last := lines[len(lines)-1]
		if _, err := fmt.Sscanf(last[strings.Index(last, "level="):], `level=WARN msg="log records left out" count=%d`, &lost); err != nil {
			t.Fatalf("%v: %s", err, last)
		}
		if written := len(lines) - 1; written+lost != all+2 || written < maxUnwritten/100 {
			t.Errorf("%d written, %d left out", written, lost)
		}
		log.Info("and on")
		flush()
		if lines := g.lines(); !strings.Contains(lines[len(lines)-1], "and on") {
			t.Errorf("then %s", lines[len(lines)-1])
		}
	})
}

// A writer that fails is tried again with the next records, on a line of their own.
func TestFailingWriter(t *testing.T) {
	full := &disk{room: 80}
	log, flush, err := NewBackground(full, new(slog.LevelVar), "text")
	if err != nil {
		t.Fatal(err)
	}
	say := func(text string) {
		log.Info(text)
		flush()
	}
	say("first") // and then it is full in the middle of a record
	say("cut")
	say("lost")
	full.grow(1000)
	say("after")
	log.Info("end")
	flush()
	var got []string
	for _, line := range full.lines() {
		_, text, _ := strings.Cut(line, "msg=")
		got = append(got, text)
	}
	if want := `first||after|"log records left out" count=2|end`; strings.Join(got, "|") != want {
		t.Errorf("got %s", strings.Join(got, "|"))
	}
}

// disk is a writer that can be full.
type disk struct {
	mu   sync.Mutex
	room int
	text strings.Builder
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(p), d.room)
	d.room -= n
	d.text.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (d *disk) grow(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room += n
}

func (d *disk) lines() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Split(strings.TrimSuffix(d.text.String(), "\n"), "\n")
}
