package gateway

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestAcceptBackoff: while accepting fails, it is tried again at growing
// distances, and a success resets them.
func TestAcceptBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startPiped(t, Config{}, new(Listener))
		fail := func(n int) (took time.Duration) {
			start := time.Now()
			for range n {
				g.socket.errs <- syscall.EMFILE
			}
			synctest.Wait()
			return time.Since(start)
		}
		if got, want := fail(4), (5+10+20)*time.Millisecond; got != want {
			t.Errorf("four failures took %v, want %v", got, want)
		}
		g.dial()
		if got, want := fail(2), 5*time.Millisecond; got != want {
			t.Errorf("two failures after a success took %v, want %v", got, want)
		}
		fail(20)
		start := time.Now()
		g.socket.errs <- syscall.EMFILE
		if got := time.Since(start); got != maxBackoff {
			t.Errorf("after many failures it waits %v", got)
		}
		if got := g.metrics.acceptErrors.Load(); got != 27 {
			t.Errorf("%d accept errors", got)
		}
		g.Close()
		if err := <-g.served; !errors.Is(err, ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
}
