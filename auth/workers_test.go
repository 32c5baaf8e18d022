package auth

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/cost"
)

func TestWorkers(t *testing.T) {
	t.Run("no more at once than there are workers, in the order of coming", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := workers{max: 2}
			var now, most atomic.Int32
			var mu sync.Mutex
			var order []int
			for i := range 6 {
				go func() {
					_ = w.do(t.Context(), stranger, func() {
						most.Store(max(most.Load(), now.Add(1)))
						time.Sleep(time.Second + time.Duration(i)*time.Millisecond)
						now.Add(-1)
						mu.Lock()
						defer mu.Unlock()
						order = append(order, i)
					})
				}()
				synctest.Wait()
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if most.Load() != 2 {
				t.Errorf("%d at once", most.Load())
			}
			for i, job := range order {
				if i != job {
					t.Errorf("done in the order %v", order)
					break
				}
			}
			if len(order) != 6 || w.running != 0 {
				t.Errorf("%d done, %d workers left", len(order), w.running)
			}
		})
	})
	t.Run("clients that never stop renewing keep no stranger out, or waiting beyond its time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := workers{max: 1}
			var over atomic.Bool
			slow := func() { time.Sleep(100 * time.Millisecond) }
			var clients sync.WaitGroup
			for range 2 * maxInARow {
				clients.Go(func() {
					for !over.Load() {
						_ = w.do(t.Context(), client, slow)
					}
				})
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			var done, late atomic.Int32
			for range 10 {
				go func() {
					if w.do(ctx, stranger, slow) == nil {
						done.Add(1)
					} else {
						late.Add(1)
					}
				}()
			}
			time.Sleep(5200 * time.Millisecond)
			// In 5 s there are 50 turns, of which one in 9 is a stranger's.
			if d, l := done.Load(), late.Load(); d < 5 || d > 6 || d+l != 10 {
				t.Errorf("%d strangers were served, and %d told that it is too late", d, l)
			}
			over.Store(true)
			clients.Wait() // the bubble's clock stops when this returns
		})
	})
	t.Run("what could not be done in its time is refused at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := workers{max: 1}
			slow := func() { time.Sleep(100 * time.Millisecond) }
			for range cost.Jobs { // so that the cost of one is known
				if err := w.do(t.Context(), stranger, slow); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5050*time.Millisecond)
			defer cancel()
			var done, refused atomic.Int32
			for range 100 {
				go func() {
					start := time.Now()
					if err := w.do(ctx, stranger, slow); err == nil {
						done.Add(1)
					} else if err.Outcome != Overload || err.RetryAfter < time.Second || err.RetryAfter > 6100*time.Millisecond {
						t.Errorf("%v, come again in %v", err, err.RetryAfter)
					} else if time.Since(start) == 0 {
						refused.Add(1)
					}
				}()
				synctest.Wait()
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			// One that is being done, 50 in line, and one that it is too late for
			// when its turn comes.
			if d, r := done.Load(), refused.Load(); d != 51 || r != 48 {
				t.Errorf("%d done, %d refused at once", d, r)
			}
		})
	})
	t.Run("clients come before strangers, however many these are", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := workers{max: 1}
			slow := func() { time.Sleep(100 * time.Millisecond) }
			for range 100 {
				go func() { _ = w.do(t.Context(), stranger, slow) }()
			}
			synctest.Wait()
			start := time.Now()
			if err := w.do(t.Context(), client, slow); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(start); waited > 200*time.Millisecond { // the one under way, and its own
				t.Errorf("done after %v", waited)
			}
			time.Sleep(10 * time.Second)
		})
	})
	t.Run("what nobody waits for any more is not done, and may come again when the line is done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := workers{max: 1}
			go func() { _ = w.do(t.Context(), stranger, func() { time.Sleep(4 * time.Second) }) }()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			err := w.do(ctx, stranger, func() { t.Error("done") })
			if err == nil || err.Outcome != Overload || err.RetryAfter < time.Second || err.RetryAfter > 5*time.Second {
				t.Errorf("%v", err)
			}
		})
	})
	t.Run("a panic is the caller's, and the worker goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := workers{max: 1}
			var stack string
			func() {
				defer func() { stack = PanicStack(recover()) }()
				_ = w.do(t.Context(), stranger, breakDown)
			}()
			if !strings.Contains(stack, "auth.breakDown(") {
				t.Errorf("panicked at %s", stack)
			}
			if err := w.do(t.Context(), stranger, func() {}); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if w.running != 0 {
				t.Errorf("%d workers left", w.running)
			}
		})
	})
}

func breakDown() { panic("a fault") }
