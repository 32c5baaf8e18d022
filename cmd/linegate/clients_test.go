package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clients talk all the time, and take note of what goes otherwise than it must.
type clients struct {
	t        *testing.T
	ctx      context.Context // until they are to stop
	stop     context.CancelFunc
	running  sync.WaitGroup
	answered []*atomic.Int64 // lines, of each

	mu       sync.Mutex
	problems []string
}

func newClients(t *testing.T) *clients {
	t.Helper()
	c := &clients{t: t}
	c.ctx, c.stop = context.WithCancel(context.Background()) // not t's, which is done before end
	t.Cleanup(c.end)
	return c
}

func (c *clients) stopped() bool { return c.ctx.Err() != nil }

func (c *clients) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// progress waits until each has had another answer.
func (c *clients) progress() {
	c.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for i, answered := range c.answered {
		for before := answered.Load(); answered.Load() == before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				c.t.Fatalf("client %d has no answer; problems: %q", i, c.said())
			}
		}
	}
}

// end stops them and says what was wrong.
func (c *clients) end() {
	if c.stopped() {
		return
	}
	c.stop()
	c.running.Wait()
	for _, p := range c.said() {
		c.t.Error(p)
	}
}

func (c *clients) said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problems[:min(len(c.problems), 20)]
}
