package auth_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// turnstile is a source of keys at which a worker waits in the middle of a
// verification, until it is let through.
type turnstile struct {
	auth.KeySource

	mu      sync.Mutex
	open    bool
	waiting []chan struct{} // in the order of their coming
}

func (s *turnstile) Current() *auth.KeySet {
	pass := make(chan struct{})
	s.mu.Lock()
	if s.open {
		close(pass)
	} else {
		s.waiting = append(s.waiting, pass)
	}
	s.mu.Unlock()
	<-pass
	return s.KeySource.Current()
}

// let lets the first n through, one at a time, each to the end of what it does.
func (s *turnstile) let(n int) {
	for range n {
		s.mu.Lock()
		first := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.mu.Unlock()
		close(first)
		synctest.Wait()
	}
}

func (s *turnstile) letAll() {
	s.mu.Lock()
	s.open = true
	for _, pass := range s.waiting {
		close(pass)
	}
	s.waiting = nil
	s.mu.Unlock()
	synctest.Wait()
}

// TestRenewalsComeFirst: clients' renewals are verified before whatever strangers
// queue, by each worker as soon as it is done with what it had begun, in the order
// of their coming; then the strangers are, all of them.
func TestRenewalsComeFirst(t *testing.T) {
	for _, workers := range []int{1, 2, 8} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const strangers, renewals = 1000, 3
				iss := authtest.New(t)
				c := iss.Config()
				gate := &turnstile{KeySource: c.Keys}
				defer gate.letAll()
				c.Keys = gate
				v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{c}, Workers: workers})
				if err != nil {
					t.Fatal(err)
				}
				token := iss.Token()
				var in atomic.Int32
				for range strangers {
					go func() {
						if _, err := v.Verify(t.Context(), token, auth.Proof{}); err != nil {
							t.Errorf("a stranger: %v", err)
						}
						in.Add(1)
					}()
				}
				synctest.Wait()
				if n := len(gate.waiting); n != workers {
					t.Fatalf("%d are being verified, want %d", n, workers)
				}
				renewed := make(chan int, renewals)
				for i := range renewals {
					go func() {
						if _, err := v.Verify(t.Context(), token, auth.Proof{Session: true}); err != nil {
							t.Errorf("a renewal: %v", err)
						}
						renewed <- i
					}()
					synctest.Wait()
				}
				gate.let(workers) // what had begun
				if n := in.Load(); int(n) != workers || len(renewed) > 0 {
					t.Fatalf("%d strangers and %d renewals are through, want %d and none", n, len(renewed), workers)
				}
				gate.let(renewals)
				if n := in.Load(); int(n) != workers || len(renewed) != renewals {
					t.Fatalf("then %d strangers and %d renewals, want %d and %d", n, len(renewed), workers, renewals)
				}
				for i := range renewals {
					if got := <-renewed; got != i {
						t.Errorf("renewal %d came as number %d", got, i)
					}
				}
				gate.letAll()
				if n := in.Load(); n != strangers {
					t.Errorf("%d of %d strangers were verified", n, strangers)
				}
			})
		})
	}
}
